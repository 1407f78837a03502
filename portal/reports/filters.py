"""Which deals a report is about: by today's tier and region of the partner, partner and family."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from flask_babel import gettext as _

from portal.accounts.service import PartnerFacts
from portal.errors import NotFound


@dataclass(frozen=True)
class Filters:
    """What was chosen; nothing for all."""

    tier: str = ""
    region: str = ""
    partner: uuid.UUID | None = None
    family: uuid.UUID | None = None

    def __bool__(self) -> bool:
        """Whether anything was chosen."""
        return bool(self.chosen)

    @property
    def chosen(self) -> dict[str, str]:
        """The part of an address that asks for these filters again."""
        pairs = {"tier": self.tier, "region": self.region}
        pairs |= {"partner": str(self.partner or ""), "family": str(self.family or "")}
        return {name: value for name, value in pairs.items() if value}

    @property
    def query(self) -> str:
        """The same, ready to be appended to an address that asks for something already."""
        return f"&{urlencode(self.chosen)}" if self.chosen else ""

    def partners(self, everyone: Sequence[PartnerFacts]) -> set[uuid.UUID] | None:
        """The partners that are meant; None for all of them."""
        if not (self.tier or self.region or self.partner):
            return None
        return {
            one.id
            for one in everyone
            if (not self.tier or one.tier == self.tier)
            and (not self.region or one.region == self.region)
            and self.partner in (None, one.id)
        }


def parse(args: Mapping[str, str]) -> Filters:
    """What an address asks for. Raises NotFound for keys that are none."""
    return Filters(
        tier=args.get("tier", "")[:40],
        region=args.get("region", "")[:40],
        partner=_key(args.get("partner", "")),
        family=_key(args.get("family", "")),
    )


def _key(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        raise NotFound(_("There is no such partner or product family.")) from None
