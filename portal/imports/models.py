"""What was uploaded, and what became of it."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.db import Base, Key, UTCDateTime, new_id


class ImportRun(Base):
    """A file that somebody uploaded: of which kind it is, what its columns mean, and what became
    of it.

    `result` counts rows by what was done with them; the file itself is kept until it is swept, and
    so are the rows that were refused when somebody last looked or imported (`refused_key`).
    """

    __tablename__ = "import_run"

    id: Mapped[uuid.UUID] = mapped_column(Key, primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(String(20))
    by_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("user.id"), index=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    filename: Mapped[str] = mapped_column(String(200))
    file_key: Mapped[str] = mapped_column(String(200))
    options: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    imported_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    result: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
