"""Partners, people and assets for benchmarks: many, and as plain as they can be."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import insert

from portal import clock
from portal.accounts.models import Partner, Role, User
from portal.content.models import Asset, AssetVersion
from portal.db import db, new_id, write_connection
from portal.formatting import number


@dataclass(frozen=True)
class World:
    """Ids by number; `subjects` are those of people, `manager` and `lena`, of the eighth partner,
    are who read the pages."""

    partners: list[uuid.UUID]
    assets: list[uuid.UUID]
    versions: list[uuid.UUID]
    subjects: list[uuid.UUID]
    manager: uuid.UUID
    lena: uuid.UUID


def build(partners: int = 2000, assets: int = 500, people: int = 10_000) -> World:
    """Write them down. People are subjects only, but for the two."""
    now = clock.now()
    many = [[new_id() for _n in range(n)] for n in (partners, assets, assets, people)]
    place = World(many[0], many[1], many[2], many[3], new_id(), new_id())
    with write_connection(db.engine) as connection:
        connection.execute(
            insert(Partner),
            [
                {
                    "id": key,
                    "name": f"Partner {number(n)}",
                    "tier": ("Gold", "Silver")[n % 2],
                    "region": "DACH",
                    "country": "DE",
                    "kind": "reseller",
                    "languages": ["de"],
                    "created_at": now,
                }
                for n, key in enumerate(place.partners)
            ],
        )
        connection.execute(
            insert(User),
            [
                {
                    "id": place.manager,
                    "email": "anna@nordwerk.example",
                    "name": "Anna Keller",
                    "role": Role.channel_manager,
                    "locale": "en",
                    "created_at": now,
                    "joined_at": now,
                    "partner_id": None,
                },
                {
                    "id": place.lena,
                    "email": "lena@partner.example",
                    "name": "Lena Kühn",
                    "role": Role.partner_user,
                    "locale": "en",
                    "created_at": now,
                    "joined_at": now,
                    "partner_id": place.partners[7],
                },
            ],
        )
        rows = [
            {
                "id": key,
                "title": f"Asset {number(n)}",
                "summary": "",
                "content_type": "case_study",
                "created_at": now,
                "published_at": now,
            }
            for n, key in enumerate(place.assets)
        ]
        connection.execute(insert(Asset), rows)
        versions = [
            {
                "id": key,
                "asset_id": asset,
                "language": "en",
                "number": 1,
                "current": True,
                "filename": "asset.pdf",
                "media_type": "application/pdf",
                "size": 1,
                "sha256": "",
                "file_key": f"{n}.pdf",
                "page_count": 5,
                "preview_state": "ready",
                "preview_error": "",
                "created_at": now,
            }
            for n, (key, asset) in enumerate(zip(place.versions, place.assets, strict=True))
        ]
        connection.execute(insert(AssetVersion), versions)
    return place
