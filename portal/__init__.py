"""The partner portal. `create_app` puts the parts together; nothing else imports them all."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from portal.config import Settings

# A start and a page make many thousand small things, nearly all of which go by themselves. To look
# for garbage at every 700 of them, as Python does, took a tenth of the time.
gc.set_threshold(20_000, 10, 10)


def create_app(settings: Settings | None = None, *, testing: bool = False) -> Flask:
    """Build the application for `settings` (default: from the environment)."""
    # Inside, so that `import surveys.models` works when it comes first.
    from portal.config import Settings
    from portal.factory import build

    return build(settings or Settings.from_environ(), testing=testing)
