"""Forms that were refused lose nothing, and none acts on a page that is no longer true.

A page carries a stamp of what it was made of, and its forms send it back: whoever decides on what
has changed meanwhile is told, instead of deciding on something they have not seen.
"""

from __future__ import annotations

import hashlib
from typing import Any

from flask_babel import gettext as _
from wtforms import HiddenField

from portal.errors import Refused


class Overwritten(Refused):
    """Somebody else has changed meanwhile what a form would replace; nothing of it is saved."""


def stamp(*facts: object) -> str:
    """A short text that is another one when any of the facts is."""
    return hashlib.sha256("|".join(map(str, facts)).encode()).hexdigest()[:16]


def refuse_stale(sent: str, current: str) -> None:
    """Raise Refused when a form was made for something else than what there is now. A form without
    a stamp decides on nothing that it showed."""
    if sent and sent != current:
        raise Refused(
            _("This has changed since you opened the page. Please look again, then decide.")
        )


def refuse_overwriting(sent: str, current: str) -> None:
    """Raise Overwritten when a form was made for something else than what there is now. The page
    that says so carries the new stamp: sent again, the form replaces what they wrote."""
    if sent and sent != current:
        raise Overwritten(
            _(
                "This was changed in another tab or by a colleague meanwhile. What you typed is "
                "still here: save it again to replace theirs, or reload to see theirs."
            )
        )


def typed_into(form: Any) -> list[tuple[str, str]]:
    """What a person typed or chose in a form, each with its label."""
    found = []
    for field in form:
        text = field.raw_data[0] if field.raw_data else ""
        if text and not isinstance(field, HiddenField):
            choices = {str(one.value): one.label for one in getattr(field, "choices", None) or ()}
            found.append((str(field.label.text), str(choices.get(text, text))))
    return found
