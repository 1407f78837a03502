"""What figures need to know of deals and of leads, and what only their history tells. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from portal.clock import add_months
from portal.deals.pipeline import Stage, Status

UPSELL, CROSS_SELL, RENEWAL, NEW = "upsell", "cross_sell", "renewal", "new"
# A partner without a registration for so long is won back.
QUIET_MONTHS = 12


class DealFacts(NamedTuple):
    """What figures need to know of one deal. Days are those of the reporting time zone."""

    id: UUID
    partner_id: UUID
    family_id: UUID | None
    status: str
    stage: str | None
    first_contact: date | None
    submitted: date | None
    decided: date | None
    decided_at: datetime | None
    due_at: datetime | None
    is_imported: bool
    # Business hours in which it waited for the vendor, until it was decided or the period ended.
    waited: float | None
    won: date | None
    lost: date | None
    amount_minor: int | None
    currency: str | None
    loss_reason: str | None = None
    # What was expected to be ordered, in the currency of the claim.
    expected_minor: int | None = None
    expected_currency: str | None = None
    # The customer, once it is linked; and one spelling of its name, as the partner wrote it.
    customer_id: UUID | None = None
    customer_key: str | None = None
    # New, renewal, upsell or cross-sell; where nobody has said so, as earlier wins tell.
    kind: str | None = None
    # Whether it was approved before the vendor had any contact with the customer; None: not known.
    sourced: bool | None = None
    # Whether the registration comes from a quiet partner, or is for a customer new to it.
    new_business: bool | None = None
    # The day it was withdrawn, expired or revoked.
    left: date | None = None

    @property
    def won_confirmed(self) -> date | None:
        """The day it was won, once the vendor has confirmed it."""
        return self.won if self.status == Status.closed and self.stage == Stage.won else None

    @property
    def closed(self) -> date | None:
        """The day it was won (and confirmed) or lost."""
        return self.won_confirmed or self.lost

    @property
    def over(self) -> date | None:
        """The day from which nothing more was to come of it: won, lost, or given up."""
        return self.closed or self.left

    @property
    def begun(self) -> date | None:
        """The first day that anything is known of it."""
        days = (self.first_contact, self.submitted, self.decided)
        return min((day for day in days if day is not None), default=None)

    @property
    def was_approved(self) -> bool:
        """Whether the claim was accepted, whatever came of it."""
        return self.stage is not None or self.status in (Status.approved, Status.revoked)

    @property
    def qualified(self) -> date | None:
        """The day it became sales qualified: the day it was approved; of an imported deal without
        one, the first contact."""
        if not self.was_approved:
            return None
        return self.decided or (self.first_contact if self.is_imported else None)

    @property
    def order(self) -> tuple[int | None, str | None]:
        """What was ordered, or is expected to be, with its currency."""
        if self.amount_minor is not None:
            return self.amount_minor, self.currency
        return self.expected_minor, self.expected_currency


class LeadFacts(NamedTuple):
    """What figures need to know of a lead that sales has accepted or of which a deal came, and of
    those deals: `deal_id` is the one that was won, or the first. It is sales qualified on the day
    it was accepted; of one that nobody accepted, a deal was approved on that day."""

    id: UUID
    partner_id: UUID | None
    family_id: UUID | None
    created: date
    qualified: date | None
    deal_id: UUID | None
    by_vendor: bool
    deal_ids: frozenset[UUID] = frozenset()


def with_leads(deals: Iterable[DealFacts], leads: Iterable[LeadFacts]) -> list[DealFacts]:
    """Deals with what their leads say: first contact was when the lead came, if that was earlier,
    and what came of a lead of the vendor's was not sourced by the partner."""
    of_deal = {key: lead for lead in leads for key in (lead.deal_ids | {lead.deal_id}) if key}
    found = []
    for deal in deals:
        lead = of_deal.get(deal.id)
        if lead is not None:
            first = min(deal.first_contact or lead.created, lead.created)
            sourced = False if lead.by_vendor else deal.sourced
            deal = deal._replace(first_contact=first, sourced=sourced)
        found.append(deal)
    return found


def with_history(deals: Sequence[DealFacts]) -> list[DealFacts]:
    """Deals with what only all of them together tell: the kind of those of which nobody has said
    it, and whether a registration is new business."""
    kinds, news = _kinds(deals), _new_business(deals)
    return [
        deal._replace(kind=deal.kind or kinds.get(deal.id), new_business=news.get(deal.id))
        for deal in deals
    ]


def _kinds(deals: Sequence[DealFacts]) -> dict[UUID, str]:
    """The kind of deals that state none, by what their customer had ordered before they began: in
    the same family more than last time is upsell, otherwise renewal; in another, cross-sell."""
    wins: dict[UUID, list[tuple[date, DealFacts]]] = defaultdict(list)
    for deal in deals:
        if deal.won_confirmed and deal.customer_id:
            wins[deal.customer_id].append((deal.won_confirmed, deal))
    for of_customer in wins.values():
        of_customer.sort(key=lambda win: (win[0], win[1].id))
    found: dict[UUID, str] = {}
    for deal in deals:
        begun = deal.begun or deal.closed
        if deal.kind or not deal.customer_id or begun is None:
            continue
        owned = [win for day, win in wins[deal.customer_id] if day < begun and win.id != deal.id]
        if kind := _kind(deal, owned):
            found[deal.id] = kind
    return found


def _kind(deal: DealFacts, owned: Sequence[DealFacts]) -> str | None:
    if not owned:
        return NEW
    same = [win for win in owned if win.family_id == deal.family_id]
    if not same:
        return CROSS_SELL
    (minor, currency), (last, its_currency) = deal.order, same[-1].order
    if minor is None or last is None or currency != its_currency:
        return None
    return UPSELL if minor > last else RENEWAL


def _new_business(deals: Sequence[DealFacts]) -> dict[UUID, bool]:
    """Whether each registration comes from a partner without one in the 12 months before, or is
    for a customer of which that partner had no deal here."""
    last: dict[UUID, date] = {}
    served: dict[UUID, set[UUID | str]] = defaultdict(set)
    found: dict[UUID, bool] = {}
    known = [(day, deal.id, deal) for deal in deals if (day := deal.submitted or deal.begun)]
    for day, key, deal in sorted(known, key=lambda row: row[:2]):
        customer = {name for name in (deal.customer_id, deal.customer_key) if name}
        if deal.submitted:
            before = last.get(deal.partner_id)
            is_quiet = before is None or before < add_months(day, -QUIET_MONTHS)
            is_new = bool(customer) and not customer & served[deal.partner_id]
            found[key] = is_quiet or is_new
            last[deal.partner_id] = day
        served[deal.partner_id] |= customer
    return found
