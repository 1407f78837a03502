"""One wave and what was chosen of it, and how its figures are written."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import cached_property
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel import ngettext
from sqlalchemy.orm import Session

from portal.accounts import service as accounts
from portal.content import library
from portal.deals import metrics as deals
from portal.estimates import Share
from portal.means import Change, Mean
from surveys import response_rates
from surveys.definitions import parsed
from surveys.figures import ENOUGH, PAIRS, Choice, Interval, interval, judged
from surveys.models import Wave
from surveys.questions import Question, said
from surveys.response_rates import Rates
from surveys.results import Results

KINDS = {
    "tier": _l("Tier"),
    "region": _l("Region"),
    "locale": _l("Language"),
    "family": _l("Product family"),
}


@dataclass(frozen=True)
class Shown:
    """One wave and what was chosen of it."""

    session: Session
    wave: Wave
    results: Results
    choice: Choice
    company: str
    zone: ZoneInfo

    @cached_property
    def questions(self) -> list[Question]:
        """Its questions, in their order."""
        return list(parsed(self.wave.questionnaire).questions)

    def text(self, question: Question) -> str:
        """A question in English, as managers read it."""
        return said(question.texts, "en", self.company)

    @cached_property
    def families(self) -> list[tuple[str, str, frozenset[uuid.UUID]]]:
        """Product families and the partners with deals in them; none where answers are protected:
        whoever comes to a family later would stand alone in the change."""
        if self.results.is_protected:
            return []
        partners = deals.partners_of_families(self.session)
        return [
            (str(row.id), row.name, frozenset(partners[row.id]))
            for row in library.families(self.session)
            if row.id in partners
        ]

    @cached_property
    def asked(self) -> list[response_rates.Asked]:
        """Every partner that was asked."""
        return response_rates.partners(self.session, self.wave.id)

    @cached_property
    def rates(self) -> Rates:
        """What became of the invitations."""
        return response_rates.rates(self.session, self.wave)

    @cached_property
    def names(self) -> dict[uuid.UUID, str]:
        """Partners by name."""
        return {one.id: one.name for one in accounts.partner_facts(self.session)}


def between(found: Interval | None) -> str:
    """An interval in words."""
    if found is None:
        return "–"
    return _("%(low)s to %(high)s", low=f"{found[0]:.1f}", high=f"{found[1]:.1f}")


def reach(mean: Mean) -> str:
    """The interval of a mean of partners, or how many it takes to have one."""
    if mean.n and mean.n < ENOUGH:
        return more_partners(ENOUGH - mean.n)
    return between(interval(mean))


def more_partners(n: int) -> str:
    """How many it takes to have an interval."""
    return ngettext("needs %(num)s more partner", "needs %(num)s more partners", n)


def signed(value: float | None, places: int = 1) -> str:
    """A change with its sign."""
    return "–" if value is None else f"{value:+.{places}f}".replace("-", "\u2212")


def reach_of_change(change: Change) -> str:
    """The interval of a change."""
    found = judged(change).interval
    if found is None:
        return more_partners(PAIRS - change.n)
    return _("%(low)s to %(high)s", low=signed(found[0]), high=signed(found[1]))


def hidden() -> str:
    """Why a figure is not there."""
    return _("not shown")


def in_people(share: Share) -> str:
    """A share of people as counts, with its interval."""
    counts = _("%(part)s of %(whole)s", part=share.part, whole=share.whole)
    if share.interval is None or share.whole < ENOUGH:
        return counts
    low, high = (round(100 * one) for one in share.interval)
    return _("%(counts)s (%(low)s to %(high)s %%)", counts=counts, low=low, high=high)
