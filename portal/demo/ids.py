"""Keys for demo rows: UUIDv7 by the moment of the row, but the same every time."""

from __future__ import annotations

import random
import uuid
from datetime import datetime

from portal.clock import to_ms


def key(rng: random.Random, moment: datetime) -> uuid.UUID:
    """A UUIDv7 for `moment`, its random bits from `rng`."""
    value = (to_ms(moment) & (1 << 48) - 1) << 80 | rng.getrandbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)
