"""Why a lead is given up, and why an offer is declined: codes with their names."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_babel.speaklater import LazyString

DISQUALIFIED: dict[str, LazyString] = {
    "no_need": _l("No need for it"),
    "no_budget": _l("No budget"),
    "not_reachable": _l("Cannot be reached"),
    "competitor": _l("Decided for a competitor"),
    "duplicate": _l("Known already"),
    "not_a_customer": _l("Not a possible customer"),
    "other": _l("Other"),
}
DECLINED: dict[str, LazyString] = {
    "no_capacity": _l("No time for it now"),
    "outside_region": _l("Too far away"),
    "outside_expertise": _l("Not what we do"),
    "conflict": _l("A conflict with a customer of ours"),
    "other": _l("Other"),
}
NAMES: dict[str, LazyString] = {**DISQUALIFIED, **DECLINED}
