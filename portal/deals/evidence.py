"""What the check for conflicts found, as reviewers read it beside the claim."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel.speaklater import LazyString
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from portal import clock
from portal.accounts.service import company, zone
from portal.deals import checks, metrics, policy
from portal.deals.conflicts import Band
from portal.deals.customer_models import ConflictCheck, ConflictMatch, KnownAccount
from portal.deals.models import Customer, Deal, Protection
from portal.deals.pipeline import UNDECIDED, Status
from portal.deals.wording import STATUS_NAMES
from portal.formatting import day

BAND_NAMES: dict[str, LazyString] = {
    Band.same: _l("the same company"),
    Band.likely: _l("very likely the same"),
    Band.possible: _l("possibly the same"),
}
BAND_KINDS = {Band.same: "bad", Band.likely: "warn", Band.possible: ""}
KEY_NAMES: dict[str, LazyString] = {
    "company": _l("name"),
    "domain": _l("web domain"),
    "tax_id": _l("VAT number"),
    "country": _l("country"),
    "postcode": _l("postcode"),
}


@dataclass(frozen=True)
class Item:
    """One match in words: whose it is, what stands there, which keys agree."""

    kind: str
    band: str
    name: str
    says: str
    agrees: Sequence[str]
    is_rival: bool
    deal_id: uuid.UUID | None = None
    customer_id: uuid.UUID | None = None
    is_reserved: bool = False


@dataclass(frozen=True)
class Evidence:
    """Whether a registration was checked (`none`: it needs no check any more), and what was found.
    `needs_reason`: approving it takes a reason, because a rival is surely there."""

    state: str
    checked_at: datetime | None
    error: str
    matches: Sequence[Item]
    needs_reason: bool

    @property
    def rivals(self) -> Sequence[Item]:
        """Those that want, or have, the same customer for the same family."""
        return [item for item in self.matches if item.is_rival]


def evidence(session: Session, deals: Iterable[Deal]) -> dict[uuid.UUID, Evidence]:
    """What is known about rivals of some registrations, in a fixed number of queries."""
    wanted = {deal.id: deal for deal in deals}
    query = select(ConflictCheck).where(ConflictCheck.deal_id.in_(wanted))
    found = {row.deal_id: row for row in session.scalars(query)}
    matches = _matches(session, list(wanted))
    others = {row.other_deal_id for rows in matches.values() for row in rows if row.other_deal_id}
    protections = metrics.protection_of(session, others)
    return {
        key: _evidence(deal, found.get(key), matches.get(key, []), protections)
        for key, deal in wanted.items()
    }


def _matches(session: Session, keys: list[uuid.UUID]) -> dict[uuid.UUID, list[ConflictMatch]]:
    query = select(ConflictMatch).where(ConflictMatch.deal_id.in_(keys))
    query = query.options(
        joinedload(ConflictMatch.other_deal).joinedload(Deal.partner),
        joinedload(ConflictMatch.other_deal).joinedload(Deal.product_family),
        joinedload(ConflictMatch.account).joinedload(KnownAccount.product_family),
        joinedload(ConflictMatch.customer),
    )
    rows: dict[uuid.UUID, list[ConflictMatch]] = defaultdict(list)
    for row in session.scalars(query):
        rows[row.deal_id].append(row)
    return rows


def _evidence(
    deal: Deal,
    check: ConflictCheck | None,
    matches: Sequence[ConflictMatch],
    protections: dict[uuid.UUID, Protection],
) -> Evidence:
    needs_check = deal.status in (*UNDECIDED, Status.returned)
    order = list(Band)
    rows = sorted(
        matches,
        key=lambda row: (order.index(Band(row.band)), not row.is_rival, -row.score, str(row.id)),
    )
    return Evidence(
        state=checks.state_of(check) if needs_check else "none",
        checked_at=check.checked_at if check else None,
        error=check.error if check and check.state == checks.FAILED else "",
        matches=[_item(row, deal, protections) for row in rows],
        needs_reason=checks.surely_there(rows),
    )


def _item(row: ConflictMatch, deal: Deal, protections: dict[uuid.UUID, Protection]) -> Item:
    name, says, reserved = "", "", False
    if row.other_deal is not None:
        protection = protections.get(row.other_deal.id)
        reserved = protection is not None and protection.ends_at > clock.now()
        name = row.other_deal.customer_name
        says = _of_deal(row.other_deal, deal, protection if reserved else None)
    elif row.account is not None:
        name, says = row.account.name, _of_account(row.account)
    elif row.customer is not None:
        name, says = row.customer.name, _of_customer(row.customer)
    return Item(
        kind=row.kind,
        band=row.band,
        name=name,
        says=says,
        agrees=[_agreement(one) for one in row.evidence],
        is_rival=row.is_rival,
        deal_id=row.other_deal_id,
        customer_id=row.customer_id,
        is_reserved=reserved,
    )


def _of_deal(other: Deal, deal: Deal, protection: Protection | None) -> str:
    partner = other.partner.name
    family = other.product_family.name if other.product_family else "–"
    if other.partner_id == deal.partner_id:
        partner = _("the same partner, %(name)s", name=partner)
    if protection is not None:
        last = policy.last_day(protection.ends_at, zone())
        return _(
            "Reserved for %(partner)s, %(family)s, until %(day)s",
            partner=partner, family=family, day=day(last),
        )  # fmt: skip
    status = str(STATUS_NAMES[other.status])
    when = clock.local_day(other.submitted_at, zone()) if other.submitted_at else None
    if when is None:
        return _("%(partner)s, %(family)s: %(status)s", partner=partner, family=family,
                 status=status)  # fmt: skip
    return _(
        "Registered by %(partner)s, %(family)s, on %(day)s: %(status)s",
        partner=partner, family=family, day=day(when), status=status,
    )  # fmt: skip


def _of_account(account: KnownAccount) -> str:
    family = account.product_family.name if account.product_family else _("every product family")
    if account.owner:
        return _(
            "Known account of %(company)s, %(family)s; looked after by %(owner)s",
            company=company(), family=family, owner=account.owner,
        )  # fmt: skip
    return _("Known account of %(company)s, %(family)s", company=company(), family=family)


def _of_customer(customer: Customer) -> str:
    place = " ".join(part for part in (customer.country, customer.postcode) if part)
    return _("A customer known here, %(place)s", place=place or "–")


def _agreement(one: dict[str, object]) -> str:
    name = str(KEY_NAMES.get(str(one["key"]), one["key"]))
    if one["score"] == 100:
        return _("%(key)s: %(value)s", key=name, value=one["theirs"])
    return _(
        "%(key)s: %(mine)s ~ %(theirs)s, %(score)s of 100 alike",
        key=name, mine=one["mine"], theirs=one["theirs"], score=one["score"],
    )  # fmt: skip
