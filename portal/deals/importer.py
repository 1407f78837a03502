"""Deals from a file: explained row by row, and written all together or not at all.

Context: what other systems export is dirty (words, dates, names spelled in two ways), and an import
that stops in the middle, or doubles what is there, is worse than none.
Decision: a row is known by its `external_id` (or a deal's reference). `import_rows` reads every row
without the database; here partners, families and customers are matched inside the write door, and
everything is written in one transaction. A dry run is the same, taken back.
Consequences: importing a file again changes nothing; a mended file of refused rows can follow.
Imported deals have nobody who submitted them, no promised decision and no protection.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import Partner
from portal.accounts.service import zone
from portal.content.models import ProductFamily
from portal.db import in_parts, new_id
from portal.deals import checks, customers, policy
from portal.deals.import_rows import Options, Parsed, Row
from portal.deals.keys import changed_keys, name_key
from portal.deals.models import BY_IMPORT, Customer, Deal, DealHistory, Policy
from portal.deals.pipeline import UNDECIDED, Side, Stage
from portal.deals.policy_versions import current_policy
from portal.deals.reasons import IMPORTED
from portal.deals.service import new_reference
from portal.deals.words import course_of
from portal.imports import kinds
from portal.sheets import key_of

# What says how a deal has ended.
_ENDS = (
    "stage", "won_amount_minor", "won_currency", "won_at", "order_number", "lost_at", "loss_reason",
)  # fmt: skip


@dataclass
class Outcome(kinds.Outcome):
    """What an import of deals did, or would do, and what was made on the way."""

    partners: list[str] = field(default_factory=list)
    families: list[str] = field(default_factory=list)
    customers: list[str] = field(default_factory=list)
    unknown_customers: int = 0
    without_day: int = 0
    read_as: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of it."""
        named = {key: len(getattr(self, key)) for key in ("partners", "families", "customers")}
        return {**super().counts, **named}

    def explained(self) -> list[str]:
        """In sentences: what was done, what was made on the way, and what was odd."""
        said = [
            ngettext("%(num)s deal is new.", "%(num)s deals are new.", self.created),
            ngettext("%(num)s deal changes.", "%(num)s deals change.", self.updated),
            ngettext("%(num)s was there already.", "%(num)s were there already.", self.unchanged),
            ngettext("%(num)s row is refused.", "%(num)s rows are refused.", len(self.refused)),
        ]
        for names, one, many in (
            (self.partners, "%(num)s new partner: %(names)s", "%(num)s new partners: %(names)s"),
            (
                self.families,
                "%(num)s new product family: %(names)s",
                "%(num)s new product families: %(names)s",
            ),
            (
                self.customers,
                "%(num)s new customer: %(names)s",
                "%(num)s new customers: %(names)s",
            ),
        ):
            if names:
                said.append(ngettext(one, many, len(names), names=kinds.few(names)))
        if self.unknown_customers:
            said.append(
                ngettext(
                    "%(num)s deal is of an unknown customer: it is never protected.",
                    "%(num)s deals are of an unknown customer: they are never protected.",
                    self.unknown_customers,
                )
            )
        if self.without_day:
            said.append(
                ngettext(
                    "%(num)s deal has no day at all: it counts as open, in no month.",
                    "%(num)s deals have no day at all: they count as open, in no month.",
                    self.without_day,
                )
            )
        for (word, known), n in sorted(self.read_as.items()):
            said.append(
                ngettext(
                    "“%(word)s” is read as “%(known)s” in %(num)s row.",
                    "“%(word)s” is read as “%(known)s” in %(num)s rows.",
                    n,
                    word=word,
                    known=known,
                )
            )
        return [text for text in said + self.reasons() if not text.startswith("0 ")]


class _Known:
    """What is there by name, and what is made on the way."""

    def __init__(self, session: Session, options: Options, outcome: Outcome, now: datetime) -> None:
        self.session, self.options, self.outcome, self.now = session, options, outcome, now
        partners = session.scalars(select(Partner))
        self.partners = {key_of(row.name) or row.name: row.id for row in partners}
        families = session.scalars(select(ProductFamily))
        self.families = {key_of(row.name) or row.name: (row.id, row.name) for row in families}
        self.customers: dict[tuple[str, str], uuid.UUID] = {}
        for row in session.scalars(select(Customer).order_by(Customer.id)):
            meant = row.merged_into_id or row.id
            self.customers.setdefault((row.name_key, row.country), meant)
            self.customers.setdefault((row.name_key, ""), meant)

    def partner(self, name: str) -> uuid.UUID | None:
        """The partner of this name; made when that is wanted."""
        key = key_of(name) or name
        if key not in self.partners and self.options.create:
            row = Partner(
                id=new_id(), name=name, tier="", region="", country="", created_at=self.now
            )
            self.session.add(row)
            self.partners[key] = row.id
            self.outcome.partners.append(name)
        return self.partners.get(key)

    def family(self, name: str) -> uuid.UUID | None:
        """The product family of this name, however it is spaced; made when that is wanted."""
        key = key_of(name) or name
        if key not in self.families and self.options.create:
            row = ProductFamily(id=new_id(), name=name)
            self.session.add(row)
            self.families[key] = (row.id, name)
            self.outcome.families.append(name)
        found = self.families.get(key)
        if found is not None and found[1] != name:
            self.outcome.read_as[name, found[1]] += 1
        return found[0] if found else None

    def customer(self, row: Row) -> uuid.UUID:
        """The customer of this name (and country, where one is given); made when it is new."""
        key = name_key(row.customer), row.country
        if key not in self.customers:
            fresh = Customer(
                id=new_id(),
                name=row.customer,
                name_key=key[0],
                domain=row.domain,
                country=row.country,
                postcode="",
                created_at=self.now,
            )
            self.session.add(fresh)
            self.customers[key] = fresh.id
            self.customers.setdefault((key[0], ""), fresh.id)
            self.outcome.customers.append(row.customer)
        return self.customers[key]


def run_import(
    parsed: Parsed,
    options: Options,
    *,
    filename: str,
    by_id: uuid.UUID | None,
    dry_run: bool = False,
) -> Outcome:
    """Write what can be used, all of it in one transaction; with `dry_run`, take it back."""

    def work(session: Session) -> Outcome:
        return run(
            session,
            parsed,
            options,
            filename=filename,
            by_id=by_id,
            now=clock.now(),
            local=zone(),
        )

    return kinds.all_or_nothing(work, dry_run, customers.WHO_IS_WHO)


def run(
    session: Session,
    parsed: Parsed,
    options: Options,
    *,
    filename: str,
    by_id: uuid.UUID | None,
    now: datetime,
    local: ZoneInfo,
) -> Outcome:
    """Match and write everything that can be used, in the transaction of `session`."""
    outcome = Outcome(refused=list(parsed.refused))
    known = _Known(session, options, outcome, now)
    there = _deals_of(session, parsed.rows)
    decided = _moved_here(session, there.values())
    make = _Maker(known, local, now, current_policy(session, now))
    fresh: list[dict[str, Any]] = []
    changes: list[tuple[Deal, dict[str, Any]]] = []
    for row in parsed.rows:
        values = make.values(row)
        if isinstance(values, str):
            outcome.refused.append((row.line, values))
            continue
        deal = there.get(row.external_id)
        if deal is None:
            fresh.append(make.fresh(row, values))
            outcome.created += 1
        elif refusal := _why_not(deal, row, values, decided):
            outcome.refused.append((row.line, refusal))
            continue
        elif changed := _changed(deal, values):
            changes.append((deal, changed))
            outcome.updated += 1
        else:
            outcome.unchanged += 1
        outcome.unknown_customers += not row.customer
        outcome.without_day += not any(row.days.values())
    outcome.refused.sort(key=lambda refused: refused[0].number)
    session.flush()
    note = _("from %(file)s", file=filename)
    _write(session, fresh, changes, note, by_id, now)
    if fresh or changes:
        checks.all_wait(session)
    return outcome


def _deals_of(session: Session, rows: Iterable[Row]) -> dict[str, Deal]:
    """The deals that are there already, by what the file calls them."""
    found: dict[str, Deal] = {}
    for some in in_parts([row.external_id for row in rows]):
        for column in (Deal.reference, Deal.external_id):
            for deal in session.scalars(select(Deal).where(column.in_(some))):
                found[deal.external_id or deal.reference] = deal
                found[deal.reference] = deal
    return found


def _moved_here(session: Session, deals: Iterable[Deal]) -> set[uuid.UUID]:
    """Those of some deals that somebody has moved in the portal since they came."""
    found: set[uuid.UUID] = set()
    for some in in_parts(sorted({deal.id for deal in deals})):
        query = select(DealHistory.deal_id).where(
            DealHistory.deal_id.in_(some), DealHistory.move != BY_IMPORT
        )
        found.update(session.scalars(query.distinct()))
    return found


def _why_not(
    deal: Deal, row: Row, values: Mapping[str, Any], decided: Collection[uuid.UUID]
) -> str:
    """Why a row may not change this deal; nothing when it may."""
    if deal.partner_id != values["partner_id"]:
        return _("This deal belongs to another partner here.")
    is_ours = deal.external_id is None or deal.id in decided
    if is_ours and course_of(deal.status, deal.stage or "") != row.course:
        return _("This deal was registered here: its status is decided here, too.")
    return ""


def _changed(deal: Deal, values: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says anew. Where it is silent, what is known stays; but a deal that ended in
    another way than was said before has not ended in both."""
    if deal.external_id is None:
        return {}
    said = _ENDS if deal.stage != values["stage"] else ()
    return {
        name: value
        for name, value in values.items()
        if (name in said or value not in (None, "")) and getattr(deal, name) != value
    }


@dataclass
class _Maker:
    """Turns rows into the columns of deals."""

    known: _Known
    zone: ZoneInfo
    now: datetime
    rules: Policy

    def values(self, row: Row) -> dict[str, Any] | str:
        """The columns that a row speaks of, or why it is refused."""
        partner_id = self.known.partner(row.partner)
        if partner_id is None:
            return _("There is no partner %(name)s.", name=row.partner)
        family_id = self.known.family(row.family) if row.family else None
        if row.family and family_id is None:
            return _("There is no product family %(name)s.", name=row.family)
        status, stage = row.course
        is_accepted = stage is not None
        won, lost = stage == Stage.won, stage == Stage.lost
        closed = self._noon(row.days["closed"])
        return {
            "partner_id": partner_id,
            "product_family_id": family_id,
            "customer_id": self.known.customer(row) if row.customer and is_accepted else None,
            "customer_name": row.customer,
            "domain": row.domain,
            "country": row.country,
            "deal_type": row.deal_type or "",
            "status": status.value,
            "stage": stage.value if stage else None,
            "first_contact": row.days["first_contact"],
            "submitted_at": self._noon(row.days["submitted"]),
            "decided_at": self._noon(row.days["decided"]),
            "amount_minor": None if lost and not row.amount else row.amount,
            "currency": row.currency,
            "won_amount_minor": row.amount if won else None,
            "won_currency": row.currency if won else None,
            "won_at": closed if won else None,
            "order_number": row.order_number if won else "",
            "lost_at": closed if lost else None,
            "loss_reason": IMPORTED if lost else None,
        }

    def fresh(self, row: Row, values: Mapping[str, Any]) -> dict[str, Any]:
        """All columns of a new deal."""
        begun = min((day for day in row.days.values() if day is not None), default=None)
        waits = row.course.status in UNDECIDED
        more = {"decision_due_at": None, "submitted_at": values["submitted_at"]}
        if waits:
            more["decision_due_at"] = policy.decision_due(self.now, self.rules.terms, self.zone)
            more["submitted_at"] = more["submitted_at"] or self.now
        return {
            **values,
            **more,
            "id": new_id(),
            "reference": new_reference(),
            "external_id": row.external_id,
            "submitted_by_id": None,
            "policy_id": self.rules.id,
            "created_at": self._noon(begun) or self.now,
        }

    def _noon(self, day: date | None) -> datetime | None:
        # Noon, so that the day is the same for everyone who reads it.
        if day is None:
            return None
        return clock.resolve_local(datetime.combine(day, time(12)), self.zone)


def _write(
    session: Session,
    fresh: list[dict[str, Any]],
    changes: Sequence[tuple[Deal, dict[str, Any]]],
    note: str,
    by_id: uuid.UUID | None,
    now: datetime,
) -> None:
    """New deals and changes, each with its line of history."""

    def moved(
        deal_id: uuid.UUID, before: Any, after: Mapping[str, Any], text: str
    ) -> dict[str, Any]:
        return {
            "id": new_id(),
            "deal_id": deal_id,
            "at": now,
            "actor_id": by_id,
            "side": Side.vendor.value,
            "move": BY_IMPORT,
            "from_status": before["status"],
            "to_status": after["status"],
            "from_stage": before["stage"],
            "to_stage": after["stage"],
            "reason_code": None,
            "sentence": "",
            "note": text,
        }

    history = [moved(row["id"], row, row, note) for row in fresh]
    for deal, changed in changes:
        before = {"status": deal.status, "stage": deal.stage}
        keys = changed_keys(changed)
        session.execute(update(Deal).where(Deal.id == deal.id).values(**changed, **keys))
        text = f"{note}: {', '.join(sorted(changed))}"
        history.append(moved(deal.id, before, {**before, **changed}, text))
    for model, rows in ((Deal, fresh), (DealHistory, history)):
        for some in in_parts(rows, 1000):
            session.execute(insert(model), some)
