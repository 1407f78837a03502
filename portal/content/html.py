"""Pages written as HTML: cleaned, and cut into sections so that attention is known by section."""

from __future__ import annotations

import re

import nh3
from markupsafe import Markup

MEDIA_TYPE = "text/html"
MAX_BYTES = 1024 * 1024
TAGS = {
    "h1", "h2", "h3", "h4", "p", "br", "hr", "ul", "ol", "li", "dl", "dt", "dd", "strong", "em",
    "b", "i", "code", "pre", "blockquote", "table", "thead", "tbody", "tr", "th", "td", "a",
}  # fmt: skip
_HEADING = re.compile(r"(?=<h[12]>)")


def _lower(part: str) -> str:
    """The headings one order lower: the first order is the portal's own."""
    for order in (3, 2, 1):
        part = part.replace(f"<h{order}>", f"<h{order + 1}>")
        part = part.replace(f"</h{order}>", f"</h{order + 1}>")
    return part


def sections(data: bytes) -> list[Markup]:
    """The page in sections, each from one heading of the first or second order to the next.

    Whatever could run, load or style something is gone: the page is shown within the portal.
    """
    text = data[:MAX_BYTES].decode("utf-8", "replace")
    clean = nh3.clean(
        text,
        tags=TAGS,
        attributes={"a": {"href"}, "td": {"colspan"}, "th": {"colspan", "scope"}},
        url_schemes={"http", "https", "mailto", "tel"},
        link_rel="noopener noreferrer",
    )
    parts = [_lower(part.strip()) for part in _HEADING.split(clean)]
    # Made safe by the line above, which is what nh3 is for.
    return [Markup(part) for part in parts if part] or [Markup("")]  # noqa: S704
