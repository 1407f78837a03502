"""Deals from a file: explained row by row, and written all together or not at all.

Context: what other systems export is dirty (words, dates, names spelled in two ways), and an import
that stops in the middle, or doubles what is there, is worse than none.
Decision: a row is known by its `external_id` or a deal's reference. `import_rows` reads every row
without the database; here partners, families and customers are matched inside the write door, and
everything is written in one transaction. A dry run is the same, taken back.
Consequences: importing a file again changes nothing; a mended file of refused rows can follow.
Imported deals have nobody who submitted them, no promised decision, and no protection but what the
file gives. What was registered here stays as it is, but for orders that a file confirms.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import insert
from sqlalchemy.orm import Session

from portal import clock
from portal.accounts.models import User
from portal.accounts.service import zone
from portal.db import in_parts, new_id
from portal.deals import checks, customers, policy
from portal.deals.import_here import Here, changes_of_ours, confirm, keeps_customer
from portal.deals.import_known import Known
from portal.deals.import_protections import Protections
from portal.deals.import_rows import Options, Parsed, Row
from portal.deals.models import BY_IMPORT, Deal, DealHistory, Policy
from portal.deals.pipeline import LEFT, UNDECIDED, Side, Stage, Status
from portal.deals.policy_versions import current_policy
from portal.deals.protecting import end_protection
from portal.deals.service import is_reference, new_reference
from portal.imports import kinds
from portal.imports.kinds import RefusedRow

# What says how a deal has ended.
_ENDS = (
    "stage", "won_amount_minor", "won_currency", "won_at", "order_number", "contract_ends",
    "lost_at", "loss_reason", "left_at",
)  # fmt: skip


@dataclass
class Outcome(kinds.Outcome):
    """What an import of deals did, or would do, and what was made on the way."""

    partners: list[str] = field(default_factory=list)
    families: list[str] = field(default_factory=list)
    customers: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)
    unknown_customers: int = 0
    without_day: int = 0
    read_as: Counter[tuple[str, str]] = field(default_factory=Counter)

    def made(self, what: str, name: str) -> None:
        """Note that a partner, a family or a customer is new."""
        getattr(self, what).append(name)

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of it."""
        named = {key: len(getattr(self, key)) for key in ("partners", "families", "customers")}
        return {**super().counts, **named}

    def told(self) -> list[str]:
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
            (
                self.confirmed,
                "%(num)s order is confirmed: deal %(names)s",
                "%(num)s orders are confirmed: deals %(names)s",
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
        return [text for text in said if not text.startswith("0 ")]


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
    work = _Work(
        session=session,
        options=options,
        outcome=outcome,
        known=Known(session, options.create, outcome.made, now),
        here=Here.read(session, parsed.rows, local),
        protections=Protections.read(session, parsed.rows, local),
        rules=current_policy(session, now),
        by=session.get(User, by_id) if by_id else None,
        note=_("from %(file)s", file=filename),
        zone=local,
        now=now,
    )
    for row in parsed.rows:
        try:
            work.take(row)
        except RefusedRow as reason:
            outcome.refused.append((row.line, str(reason)))
    outcome.refused.sort(key=lambda refused: refused[0].number)
    session.flush()
    _write(session, work.fresh, work.changes, work.note, by_id, now)
    work.protections.write()
    if work.fresh or work.changes:
        checks.all_wait(session)
    return outcome


def _still_runs(row: Row) -> bool:
    """Whether what was reserved for a deal stays so."""
    return row.course.status == Status.approved or row.course == (Status.closed, Stage.won)


def _changed(deal: Deal, values: Mapping[str, Any]) -> dict[str, Any]:
    """What a row says anew. Where it is silent, what is known stays; but a deal that ended in
    another way than was said before has not ended in both."""
    said = _ENDS if deal.stage != values["stage"] else ()
    return {
        name: value
        for name, value in values.items()
        if (name in said or value not in (None, "")) and getattr(deal, name) != value
    }


def _refuse_before_contact(deal: Deal, changed: Mapping[str, Any], zone: ZoneInfo) -> None:
    """Raise RefusedRow where what a row says anew and what is known do not go together."""
    first, *ends = (
        changed.get(name, getattr(deal, name)) for name in ("first_contact", "won_at", "lost_at")
    )
    if first is not None and any(end and clock.local_day(end, zone) < first for end in ends):
        raise RefusedRow(_("It closed before the first contact."))


@dataclass
class _Work:
    """Takes rows one by one: whether each can be used is known before anything is made for it."""

    session: Session
    options: Options
    outcome: Outcome
    known: Known
    here: Here
    protections: Protections
    rules: Policy
    by: User | None
    note: str
    zone: ZoneInfo
    now: datetime
    fresh: list[dict[str, Any]] = field(default_factory=list)
    changes: list[tuple[Deal, dict[str, Any], list[str]]] = field(default_factory=list)
    references: dict[str, int] = field(default_factory=dict)

    def take(self, row: Row) -> None:
        """Make, change, confirm or leave the deal of a row. Raises RefusedRow."""
        partner_id, family = self.known.partner(row), self.known.family(row)
        family_id = family[0] if family else None
        deal = self.here.named(row)
        customer_id = self._customer(row, deal)
        if deal is None and partner_id and family_id:
            deal = self.here.ordered(row, partner_id, family_id, customer_id)
        self.here.refuse_unless_certain(row, deal)
        if deal is not None:
            self.here.refuse_if_against(deal, row, partner_id)
        if deal is not None and self.here.is_ours(deal):
            self._take_ours(row, deal)
        else:
            is_linked = row.course.stage is not None and customer_id is None
            self.known.refuse_missing(row, is_linked)
            self.protections.refuse_overlap(row, deal, customer_id, family_id)
            if deal is None:
                self._make(row, customer_id)
            else:
                self._renew(row, deal, customer_id)
        if deal is not None:
            self.here.lines[deal.id] = row.line.number
        self._count(row, family)

    def _customer(self, row: Row, deal: Deal | None) -> uuid.UUID | None:
        """The customer that a row is linked to, where it is here. A claim that nobody accepted is
        linked by whoever decides on it."""
        if deal is not None and (self.here.is_ours(deal) or keeps_customer(deal, row)):
            return deal.customer_id
        if not row.customer or row.course.stage is None:
            return None
        return self.known.customers.find(row)

    def _count(self, row: Row, family: tuple[uuid.UUID, str] | None) -> None:
        self.outcome.unknown_customers += not row.customer
        self.outcome.without_day += not any(row.days.values())
        if family is not None and family[1] != row.family:
            self.outcome.read_as[row.family, family[1]] += 1

    def _take_ours(self, row: Row, deal: Deal) -> None:
        if self.here.confirms(deal, row):
            confirm(self.session, deal, row, self.by, self.note, self.now)
            self.outcome.confirmed.append(deal.reference)
            self.outcome.updated += 1
            return
        if self.protections.is_new(deal, row):
            raise RefusedRow(_("Until when this deal is reserved is decided here."))
        self._change(deal, changes_of_ours(deal, row), [])

    def _change(self, deal: Deal, changed: dict[str, Any], also: list[str]) -> None:
        said = sorted([*changed, *also])
        if said:
            self.changes.append((deal, changed, said))
        self.outcome.updated += bool(said)
        self.outcome.unchanged += not said

    def _make(self, row: Row, customer_id: uuid.UUID | None) -> None:
        """A deal that is new here."""
        first = self.references.setdefault(row.reference, row.line.number)
        if row.reference and first != row.line.number:
            raise RefusedRow(_("Line %(n)s has the same reference.", n=first))
        deal = self._fresh(row, self._values(row) | self._linked(row, customer_id))
        self.fresh.append(deal)
        self.outcome.created += 1
        if row.protected is not None:
            place = deal["customer_id"], deal["product_family_id"]
            self.protections.take(row, deal["id"], deal["reference"], place)

    def _renew(self, row: Row, deal: Deal, customer_id: uuid.UUID | None) -> None:
        """A deal that came from a file before."""
        if not self._stays(deal, row, customer_id) and self.protections.is_reserved(deal):
            raise RefusedRow(
                _("This deal is reserved: its customer and product family do not change any more.")
            )
        changed = _changed(deal, self._values(row) | self._linked(row, customer_id))
        _refuse_before_contact(deal, changed, self.zone)
        also: list[str] = []
        if self.protections.is_new(deal, row):
            linked = {"customer_id": deal.customer_id, "product_family_id": deal.product_family_id}
            linked |= {name: value for name, value in changed.items() if name in linked}
            place = linked["customer_id"], linked["product_family_id"]
            self.protections.take(row, deal.id, deal.reference, place)
            also = ["protected_until"]
        elif {"status", "stage"} & changed.keys() and not _still_runs(row):
            end_protection(self.session, deal, self.now)
        self._change(deal, changed, also)

    def _stays(self, deal: Deal, row: Row, customer_id: uuid.UUID | None) -> bool:
        family = self.known.family(row)
        is_family = not row.family or (family is not None and family[0] == deal.product_family_id)
        return is_family and (not row.customer or customer_id == deal.customer_id)

    def _linked(self, row: Row, customer_id: uuid.UUID | None) -> dict[str, Any]:
        """What a row names, made where it is missing."""
        if customer_id is None and row.customer and row.course.stage is not None:
            customer_id = self.known.customer_for(row)
        return {
            "partner_id": self.known.partner_for(row),
            "product_family_id": self.known.family_for(row) if row.family else None,
            "customer_id": customer_id,
        }

    def _values(self, row: Row) -> dict[str, Any]:
        """The columns that a row speaks of."""
        status, stage = row.course
        lost = stage == Stage.lost
        currency = row.currency or self.options.currency
        closed = self._noon(row.days["closed"])
        ordered = row.amount if row.won_amount is None else row.won_amount
        return {
            "customer_name": row.customer,
            "domain": row.domain,
            "tax_id": row.tax_id,
            "country": row.country,
            "postcode": row.postcode,
            "contact": row.contact,
            "deal_type": row.deal_type,
            "status": status.value,
            "stage": stage.value if stage else None,
            "first_contact": row.days["first_contact"],
            "submitted_at": self._noon(row.days["submitted"]),
            "decided_at": self._noon(row.days["decided"]),
            "expected_close": row.later["expected_close"],
            "amount_minor": None if lost and not row.amount else row.amount,
            "currency": currency,
            "won_amount_minor": ordered if row.is_won else None,
            "won_currency": row.won_currency or currency if row.is_won else None,
            "won_at": closed if row.is_won else None,
            "order_number": row.order_number if row.is_won else "",
            "contract_ends": row.later["contract_ends"] if row.is_won else None,
            "lost_at": closed if lost else None,
            "left_at": closed if status in LEFT else None,
            "loss_reason": row.loss_reason if lost else None,
        }

    def _fresh(self, row: Row, values: Mapping[str, Any]) -> dict[str, Any]:
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
            "reference": row.reference if is_reference(row.reference) else new_reference(),
            "external_id": row.key,
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
    changes: Sequence[tuple[Deal, dict[str, Any], list[str]]],
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
    for deal, changed, said in changes:
        before = {"status": deal.status, "stage": deal.stage}
        for name, value in changed.items():
            setattr(deal, name, value)
        text = f"{note}: {', '.join(said)}"
        history.append(moved(deal.id, before, {**before, **changed}, text))
    session.flush()
    for model, rows in ((Deal, fresh), (DealHistory, history)):
        for some in in_parts(rows, 1000):
            session.execute(insert(model), some)
