"""What the customer of a deal read: of everything that was shared for it, from base rows, so within
seconds. Counts only: never who it was shared with."""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from portal.content import library, sharing
from portal.deals.models import Deal
from tracking import metrics


@dataclass(frozen=True)
class Read:
    """One document that was shared for a deal. `page` is the furthest one that was read."""

    title: str
    opens: int
    dwell: int
    page: int
    page_count: int
    last: datetime | None


def of_deal(session: Session, deal: Deal) -> list[Read]:
    """What became of every document that was shared for this deal, the latest read first."""
    links = sharing.links_of_deal(session, deal.id)
    assets = {item.asset_id for link in links for item in link.items}
    if not assets:
        return []
    found: dict[uuid.UUID, list[metrics.Open]] = defaultdict(list)
    for one in metrics.opens_of_links(session, [link.id for link in links]):
        found[one.asset_id].append(one)
    titles = library.titles(session, assets)
    rows = [_read(titles.get(key, ""), found[key]) for key in assets]
    return sorted(rows, key=lambda row: (-(row.last.timestamp() if row.last else 0), row.title))


def _read(title: str, opens: list[metrics.Open]) -> Read:
    return Read(
        title=title,
        opens=len(opens),
        dwell=sum(one.dwell for one in opens),
        page=max((one.page for one in opens), default=0),
        page_count=max((one.page_count for one in opens), default=0),
        last=max((one.at for one in opens), default=None),
    )
