"""Lists of deals: one question with filters, answered as rows, as columns of a board, as months and
as totals. Amounts of different currencies are never added."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import Partner, User
from portal.accounts.service import zone
from portal.content.models import ProductFamily
from portal.deals import silence
from portal.deals.forms import TYPE_NAMES
from portal.deals.models import REGISTERED, Deal
from portal.deals.pipeline import OPEN_STAGES, UNDECIDED, Stage, Status
from portal.errors import PortalError
from portal.formatting import sort_key

OPEN = (*UNDECIDED, Status.returned, Status.approved)


class BadFilter(PortalError):
    """A filter asks for what there is not."""


@dataclass(frozen=True)
class Filters:
    """What deals are asked for; empty means all. `since` and `until` are days of submitting;
    `silent` asks for those of which nothing was heard for as long as the rules say."""

    status: str = ""
    stage: str = ""
    partner: str = ""
    tier: str = ""
    region: str = ""
    family: str = ""
    type: str = ""
    manager: str = ""
    silent: str = ""
    since: str = ""
    until: str = ""
    q: str = ""

    @property
    def asked(self) -> dict[str, str]:
        """The filters that are set, by name."""
        return {name: value for name, value in vars(self).items() if value}

    @property
    def query(self) -> str:
        """The part of an address that asks for this again."""
        return urlencode(self.asked)

    def without(self, *names: str) -> Filters:
        """The same without some filters."""
        return replace(self, **dict.fromkeys(names, ""))


def filters_of(args: Mapping[str, str]) -> Filters:
    """The filters that an address asks for. Raises BadFilter for what no deal can have."""
    asked = {one.name: args.get(one.name, "").strip()[:200] for one in fields(Filters)}
    known: dict[str, Iterable[str]] = {
        "status": Status, "stage": Stage, "type": TYPE_NAMES, "silent": ("yes",),
    }  # fmt: skip
    for name, values in known.items():
        if asked[name] and asked[name] not in set(values):
            raise BadFilter(_("There is no such filter. Choose one from the list."))
    for name in ("partner", "family", "manager"):
        if asked[name]:
            _key(asked[name])
    for name in ("since", "until"):
        if asked[name]:
            _day(asked[name])
    return Filters(**asked)


def _key(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise BadFilter(_("There is no such filter. Choose one from the list.")) from None


def _day(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise BadFilter(_("A day is written like 2026-03-31.")) from None
    if not 1990 <= found.year <= 2100:
        raise BadFilter(_("This year cannot be right."))
    return found


class Line(NamedTuple):
    """One deal in few words, the columns of `_COLUMNS`: whole objects would make lists of thousands
    slow."""

    id: uuid.UUID
    reference: str
    partner: str
    customer: str
    family: str
    kind: str
    status: str
    stage: str | None
    amount_minor: int | None
    currency: str
    won_minor: int | None
    won_currency: str | None
    order_number: str
    expected: date | None
    submitted_at: datetime | None
    due_at: datetime | None
    created_at: datetime

    @property
    def value(self) -> tuple[int | None, str]:
        """The order, or what is expected of it."""
        if self.won_minor is not None:
            return self.won_minor, self.won_currency or self.currency
        return self.amount_minor, self.currency

    @property
    def is_open(self) -> bool:
        """Whether it may still become an order."""
        in_play = self.stage is None or self.stage in OPEN_STAGES
        return self.status in OPEN and in_play


_COLUMNS = (
    Deal.id,
    Deal.reference,
    Partner.name.label("partner"),
    Deal.customer_name.label("customer"),
    func.coalesce(ProductFamily.name, "").label("family"),
    Deal.deal_type.label("kind"),
    Deal.status,
    Deal.stage,
    Deal.amount_minor,
    Deal.currency,
    Deal.won_amount_minor.label("won_minor"),
    Deal.won_currency,
    Deal.order_number,
    Deal.expected_close.label("expected"),
    Deal.submitted_at,
    Deal.decision_due_at.label("due_at"),
    Deal.created_at,
)


def lines(session: Session, user: User, filters: Filters) -> list[Line]:
    """The deals that this person may see and asks for, the newest first."""
    query = (
        select(*_COLUMNS)
        .join(Partner, Partner.id == Deal.partner_id)
        .outerjoin(ProductFamily, ProductFamily.id == Deal.product_family_id)
        .where(*_may_see(user), *_conditions(filters))
        .order_by(Deal.created_at.desc(), Deal.id.desc())
    )
    found = [Line._make(row) for row in session.execute(query)]
    if filters.silent:
        keys = silent_of(session, found)
        found = [line for line in found if line.id in keys]
    # In Python, because the engines disagree on case and accents.
    words = [sort_key(word)[0] for word in filters.q.split()]
    return (
        found
        if not words
        else [line for line in found if all(word in _text(line) for word in words)]
    )


def silent_of(session: Session, found: Iterable[Line]) -> dict[uuid.UUID, datetime]:
    """Those of some deals of which nothing was heard for long, with when that last was."""
    return silence.silent(session, clock.now(), [line.id for line in found if line.is_open])


def _text(line: Line) -> str:
    return sort_key(f"{line.customer} {line.partner} {line.reference} {line.order_number}")[0]


def _may_see(user: User) -> list[ColumnElement[bool]]:
    if user.is_vendor:
        return [REGISTERED]
    return [Deal.partner_id == user.partner_id]


def _conditions(filters: Filters) -> list[ColumnElement[bool]]:
    made: dict[str, Callable[[str], ColumnElement[bool]]] = {
        "status": lambda text: Deal.status == text,
        "stage": lambda text: Deal.stage == text,
        "partner": lambda text: Deal.partner_id == _key(text),
        "tier": lambda text: Partner.tier == text,
        "region": lambda text: Partner.region == text,
        "family": lambda text: Deal.product_family_id == _key(text),
        "type": lambda text: Deal.deal_type == text,
        "manager": lambda text: Partner.channel_manager_id == _key(text),
        "since": lambda text: Deal.submitted_at >= clock.day_start(_day(text), zone()),
        "until": lambda text: Deal.submitted_at < clock.day_start(_day_after(text), zone()),
    }
    return [condition(filters.asked[name]) for name, condition in made.items()
            if name in filters.asked]  # fmt: skip


def _day_after(text: str) -> date:
    return date.fromordinal(_day(text).toordinal() + 1)


# --- sums ---------------------------------------------------------------------------------------


def totals(found: Iterable[Line]) -> dict[str, int]:
    """What deals are worth together, by currency."""
    sums: Counter[str] = Counter()
    for line in found:
        minor, currency = line.value
        if minor is not None:
            sums[currency] += minor
    return dict(sorted(sums.items()))


@dataclass(frozen=True)
class BoardColumn:
    """The deals of one column of the board; `filters` ask the list for the same."""

    title: Any
    filters: Mapping[str, str]
    lines: Sequence[Line] = field(default_factory=list)

    @property
    def totals(self) -> dict[str, int]:
        """What they are worth, by currency."""
        return totals(self.lines)


# From the claim to the order; what is over is found in the list.
BOARD: tuple[tuple[Any, dict[str, str]], ...] = (
    (_l("Submitted"), {"status": "submitted"}),
    (_l("In review"), {"status": "in_review"}),
    (_l("With the partner"), {"status": "returned"}),
    (_l("Qualified"), {"status": "approved", "stage": "qualified"}),
    (_l("Proposal"), {"status": "approved", "stage": "proposal"}),
    (_l("Negotiation"), {"status": "approved", "stage": "negotiation"}),
    (_l("Won, to confirm"), {"status": "approved", "stage": "won"}),
)


def board(found: Sequence[Line]) -> list[BoardColumn]:
    """The deals that are not over, in columns."""
    return [
        BoardColumn(
            title,
            where,
            [line for line in found if all(getattr(line, key) == value
                                           for key, value in where.items())],
        )
        for title, where in BOARD
    ]  # fmt: skip


@dataclass(frozen=True)
class Month:
    """Open deals whose order is expected in a month, `2026-12`, in one before this (`overdue`), or
    without a day (empty)."""

    month: str
    n: int
    totals: Mapping[str, int]

    @property
    def name(self) -> str:
        """The month as people write it, `Dec 2026`; empty where it is no month."""
        if self.month in ("", OVERDUE):
            return ""
        return f"{date.fromisoformat(self.month + '-01'):%b %Y}"


OVERDUE = "overdue"


def by_month(found: Iterable[Line], today: date) -> list[Month]:
    """Open deals by the month that their order is expected in, what is overdue before all."""
    groups: dict[str, list[Line]] = {}
    for line in found:
        if line.is_open:
            groups.setdefault(_month(line.expected, today), []).append(line)
    months = [Month(key, len(some), totals(some)) for key, some in groups.items()]
    return sorted(months, key=lambda row: (row.month != OVERDUE, not row.month, row.month))


def _month(expected: date | None, today: date) -> str:
    if expected is None:
        return ""
    return OVERDUE if expected < today.replace(day=1) else f"{expected:%Y-%m}"


# --- what can be chosen -------------------------------------------------------------------------


@dataclass(frozen=True)
class Choices:
    """The values of the filters, by name, in the order they are shown."""

    partners: Sequence[tuple[str, str]]
    families: Sequence[tuple[str, str]]
    managers: Sequence[tuple[str, str]]
    tiers: Sequence[tuple[str, str]]
    regions: Sequence[tuple[str, str]]


def choices(session: Session, user: User) -> Choices:
    """What deals can be filtered by. A partner learns of no other partner by it."""
    families = _by_name(session.execute(select(ProductFamily.id, ProductFamily.name)).all())
    if not user.is_vendor:
        return Choices((), families, (), (), ())
    partners = session.execute(
        select(Partner.id, Partner.name, Partner.tier, Partner.region, Partner.channel_manager_id)
    ).all()
    keys = {row.channel_manager_id for row in partners if row.channel_manager_id}
    managers = session.execute(select(User.id, User.name).where(User.id.in_(keys))).all()
    return Choices(
        _by_name(partners),
        families,
        _by_name(managers),
        _themselves(row.tier for row in partners),
        _themselves(row.region for row in partners),
    )


def _themselves(words: Iterable[str]) -> list[tuple[str, str]]:
    return [(word, word) for word in sorted(set(words), key=sort_key) if word]


def _by_name(rows: Sequence[Any]) -> list[tuple[str, str]]:
    found = sorted(rows, key=lambda row: sort_key(row.name, row.id))
    return [(str(row.id), row.name) for row in found]
