"""What must be true of every number, whatever was read: asked of base rows and of rollups."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select

from portal import clock
from portal.db import db
from tracking.days import EVERYONE, SlotRow, granted
from tracking.dwell import SLOT_MS
from tracking.models import Audience, Load, Slot
from tracking.packing import histogram
from tracking.sums import AreaSum, AssetSum, Grain, PageSum, PairSum, PartnerSum

BERLIN = ZoneInfo("Europe/Berlin")
GRANTED = ("active", "reading", "idle", "glance")


def check_sums() -> None:
    """Pages add up to views, views to assets, assets to partners, partners to everyone."""
    db.session.rollback()
    for figure in (*GRANTED, "overlap", "views", "engaged_views", "ended_views"):
        of_assets = added_up(AssetSum, figure, "day", "asset_id", "audience")
        assert of_assets == added_up(PairSum, figure, "day", "asset_id", "audience")
        if hasattr(PageSum, figure):
            assert of_assets == added_up(PageSum, figure, "day", "asset_id", "audience")
        of_partners = added_up(PartnerSum, figure, "day", "partner_id", "audience")
        _check_everyone(of_partners)
        single = {key: n for key, n in of_partners.items() if key[1] != EVERYONE}
        assert single == added_up(PairSum, figure, "day", "partner_id", "audience")
    for figure in (*GRANTED, "overlap", "views"):
        _check_everyone(added_up(AreaSum, figure, "day", "partner_id", "area"))
    _check_dwells()


def _check_everyone(sums: dict[tuple[Any, ...], int]) -> None:
    everyone = {(day, of): n for (day, partner, of), n in sums.items() if partner == EVERYONE}
    single: Counter[tuple[Any, ...]] = Counter()
    for (day, partner, of), n in sums.items():
        if partner != EVERYONE:
            single[day, of] += n
    assert everyone == single


def _check_dwells() -> None:
    """Every view has its bar, and all bars together are the dwell of the asset."""
    bars: dict[tuple[Any, ...], Counter[int]] = defaultdict(Counter)
    sums: Counter[tuple[Any, ...]] = Counter()
    for found in db.session.scalars(select(AssetSum).where(AssetSum.grain == Grain.day)):
        key = (found.asset_id, found.audience)
        bars[key].update(histogram([found.dwells]))
        sums[key, "views"] += found.views
        sums[key, "dwell"] += found.active + found.reading
    for key, bar in bars.items():
        assert bar.total() == sums[key, "views"]
        seconds = sum(length * n for length, n in bar.items())
        assert seconds * 1000 <= sums[key, "dwell"] <= (seconds + bar.total()) * 1000


def check_wall_time() -> None:
    """No person is granted more than 15 s in a slot, and the rollups say nothing else.

    Attention of loads that nobody is known to have looked at takes part in the cap, and is in no
    number: with such loads the rollups may say less.
    """
    granted_to, of_days, of_slots, unseen = Counter[Any](), Counter[Any](), Counter[Any](), False
    for slot, loads in attention_by_slot().items():
        day = clock.local_day(clock.slot_start(slot), BERLIN)
        for load, counts in loads.items():
            granted_to[load.subject, slot] += sum(counts[:4])
            of_slots[day, load.partner_id, load.audience, load.area] += sum(counts)
            unseen = unseen or load.activated_at is None
    assert max(granted_to.values(), default=0) <= SLOT_MS
    for name in (*GRANTED, "overlap"):
        for (day, partner, audience), n in added_up(
            PairSum, name, "day", "partner_id", "audience"
        ).items():
            of_days[day, partner, audience, None] += n
        for (day, partner, area), n in added_up(AreaSum, name, "day", "partner_id", "area").items():
            of_days[day, partner, Audience.partner, area] += n
    of_days = Counter({key: n for key, n in of_days.items() if key[1] != EVERYONE})
    if unseen:
        assert all(n <= of_slots[key] for key, n in of_days.items())
    else:
        assert +of_days == +of_slots


def attention_by_slot() -> dict[int, dict[Load, list[int]]]:
    """What is granted of each slot (and what is overlap), by load; unless it is folded already."""
    db.session.rollback()
    query = (
        select(Load, Slot)
        .join(Slot, Slot.load_id == Load.id)
        .where(Load.machine == 0, Load.audience != Audience.vendor, Load.partner_id.is_not(None))
    )
    rows: dict[int, list[SlotRow]] = defaultdict(list)
    loads: dict[uuid.UUID, Load] = {}
    for load, kept in db.session.execute(query):
        loads[load.id] = load
        buckets = (kept.active, kept.reading, kept.idle, kept.glance)
        rows[kept.slot].append((load.id, kept.slot, kept.page, *buckets))
    person_of = {load.id: load.subject for load in loads.values()}
    return {
        slot: {
            loads[key]: [sum(column) for column in zip(*pages.values(), strict=True)]
            for key, pages in granted(mine, person_of).items()
        }
        for slot, mine in rows.items()
    }


def added_up(model: Any, figure: str, *keys: str) -> dict[tuple[Any, ...], int]:
    """The sums of one figure by some keys, of days and without zeros."""
    found: dict[tuple[Any, ...], int] = defaultdict(int)
    for kept in db.session.scalars(select(model)):
        if getattr(kept, "grain", Grain.day) == Grain.day:
            found[tuple(getattr(kept, key) for key in keys)] += getattr(kept, figure)
    return {key: n for key, n in found.items() if n}
