"""Leads in words."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_babel.speaklater import LazyString
from markupsafe import Markup

from portal.leads.stages import Source, Stage

STAGE_NAMES: dict[str, LazyString] = {
    Stage.new: _l("New"),
    Stage.mql: _l("Marketing-qualified"),
    Stage.sql: _l("Sales-ready"),
    Stage.converted: _l("Became a deal"),
    Stage.disqualified: _l("Disqualified"),
}
SOURCE_NAMES: dict[str, LazyString] = {
    Source.share: _l("Asked on a shared page"),
    Source.partner: _l("Entered by a partner"),
    Source.hand: _l("Entered by the vendor"),
    Source.file: _l("Imported"),
}
MOVE_NAMES: dict[str, LazyString] = {
    "capture": _l("brought it in"),
    "ask": _l("asked a question"),
    "qualify": _l("qualified it by its score"),
    "accept": _l("accepted it as sales-ready"),
    "disqualify": _l("disqualified it"),
    "reopen": _l("reopened it"),
    "convert": _l("made a deal of it"),
    "offer": _l("offered it"),
    "take": _l("accepted the offer"),
    "decline": _l("declined the offer"),
    "pass_on": _l("passed it on, not answered in time"),
    "change": _l("changed what is known"),
    "import": _l("changed it by import"),
}
OFFER_NAMES: dict[str, LazyString] = {
    "open": _l("waits for the answer"),
    "taken": _l("accepted"),
    "declined": _l("declined"),
    "late": _l("not answered in time"),
    "withdrawn": _l("withdrawn"),
}
_KINDS = {Stage.mql: "warn", Stage.sql: "good", Stage.converted: "good"}


def chip(stage: str) -> Markup:
    """The stage of a lead as a soft label."""
    kind = _KINDS.get(Stage(stage), "")
    return Markup('<span class="chip {}">{}</span>').format(kind, str(STAGE_NAMES[stage]))
