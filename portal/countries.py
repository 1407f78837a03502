"""Countries by their codes of two letters."""

from __future__ import annotations

from functools import cache

from babel import Locale

from portal.formatting import sort_key


@cache
def countries() -> list[tuple[str, str]]:
    """Codes and names of countries, by name."""
    names = Locale("en").territories
    known = [(code, name) for code, name in names.items() if len(code) == 2 and code.isalpha()]
    return sorted(
        ((code, name) for code, name in known if code not in ("EU", "EZ", "UN", "XA", "XB", "ZZ")),
        key=lambda row: sort_key(row[1], row[0]),
    )
