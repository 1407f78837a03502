"""Settings: typed, complete at start, and nonsense is refused with the setting's name.

They come from `PORTAL_*` variables; `settings.env` in the data folder (written by `portal setup`,
readable by its owner only) supplies those that the environment does not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import urlsplit

from portal.errors import BadSetting

SETTINGS_FILE = "settings.env"
_DEFAULT_PORTS = {"http": 80, "https": 443}


def _setting(help: str, default: str = "") -> str:
    """Declare one setting with its sentence for the README and its default as text."""
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True)
class Raw:
    """Every setting as text, as the environment gives it. The README lists these, tested."""

    data_dir: str = _setting("folder for database, files and keys", "portal-data")
    database_url: str = _setting("SQLite or PostgreSQL; empty: a SQLite file in the data folder")
    files_url: str = _setting(
        "where files are kept (fsspec URL); empty: `files` in the data folder"
    )
    url: str = _setting("the address people use; empty: http://HOST:PORT")
    host: str = _setting("address to listen on", "127.0.0.1")
    port: str = _setting("port to listen on", "8000")
    workers: str = _setting("worker processes of the server", "2")
    threads: str = _setting(
        "threads per worker; half of them may wait for a commit of attention", "64"
    )
    backlog: str = _setting("connections that may wait to be accepted", "1024")
    trusted_proxies: str = _setting("reverse proxies in front whose headers are believed", "0")
    demo: str = _setting("1: `make run` fills an empty database with the demo company", "1")
    smtp_url: str = _setting("smtp://user:password@host:587 or smtps://...; empty: mail is listed")
    mail_from: str = _setting("sender of all mail", "portal@localhost")
    retention_months: str = _setting(
        "months after which raw rows of reading and downloads are removed, numbers stay; 0: never",
        "13",
    )
    max_upload_mb: str = _setting("largest file that may be uploaded, in MB", "200")
    log_level: str = _setting("debug, info, warning or error", "info")


@dataclass(frozen=True)
class Settings:
    """The settings of one installation, ready to use."""

    data_dir: Path
    database_url: str
    files_url: str
    url: str
    host: str
    port: int
    workers: int
    threads: int
    backlog: int
    trusted_proxies: int
    demo: bool
    smtp_url: str
    mail_from: str
    retention_months: int
    max_upload_bytes: int
    log_level: str

    @property
    def secure(self) -> bool:
        """Whether people come by https, so that cookies may insist on it."""
        return self.url.startswith("https://")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings. Raises BadSetting with the name of the one that makes no sense."""
        given = dict(os.environ if environ is None else environ)
        data_dir = Path(given.get("PORTAL_DATA_DIR") or Raw().data_dir).resolve()
        values = {**_read_file(data_dir / SETTINGS_FILE), **given}
        known = {f"PORTAL_{f.name.upper()}": f.name for f in fields(Raw)}
        for name in values:
            if name.startswith("PORTAL_") and name not in known:
                raise BadSetting(f"{name} is not a setting. Known are: {', '.join(known)}.")
        raw = Raw(**{known[k]: v.strip() for k, v in values.items() if k in known and v.strip()})
        port = _whole(raw, "port", 1, 65535)
        database_url = raw.database_url or f"sqlite:///{data_dir / 'portal.db'}"
        if database_url.startswith("postgres://"):
            database_url = "postgresql://" + database_url.removeprefix("postgres://")
        if database_url.startswith("postgresql://"):
            database_url = "postgresql+psycopg://" + database_url.removeprefix("postgresql://")
        if not database_url.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise BadSetting("PORTAL_DATABASE_URL must begin with sqlite:/// or postgresql://.")
        if raw.smtp_url and urlsplit(raw.smtp_url).scheme not in ("smtp", "smtps"):
            raise BadSetting("PORTAL_SMTP_URL must begin with smtp:// or smtps://.")
        if raw.log_level not in ("debug", "info", "warning", "error"):
            raise BadSetting("PORTAL_LOG_LEVEL must be debug, info, warning or error.")
        if raw.demo not in ("0", "1"):
            raise BadSetting("PORTAL_DEMO must be 0 or 1.")
        return cls(
            data_dir=data_dir,
            database_url=database_url,
            files_url=raw.files_url or f"file://{data_dir / 'files'}",
            url=_origin(raw.url or _own_address(raw.host, port)),
            host=raw.host,
            port=port,
            workers=_whole(raw, "workers", 1, 64),
            threads=_whole(raw, "threads", 2, 256),
            backlog=_whole(raw, "backlog", 16, 65535),
            trusted_proxies=_whole(raw, "trusted_proxies", 0, 8),
            demo=raw.demo == "1",
            smtp_url=raw.smtp_url,
            mail_from=raw.mail_from,
            retention_months=_whole(raw, "retention_months", 0, 240),
            max_upload_bytes=_whole(raw, "max_upload_mb", 1, 4096) * 1024 * 1024,
            log_level=raw.log_level,
        )


def _own_address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _origin(url: str) -> str:
    """`url` as browsers name the origin of a page; raises BadSetting for what is none.

    Reports of attention are taken from pages with this origin only: one that is written in another
    way would lose them all.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    more = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in _DEFAULT_PORTS or not host or more:
        raise BadSetting(
            f"PORTAL_URL is {url!r}; use a full address without a path, such as "
            "https://partners.example.com."
        )
    if not host.isascii():
        raise BadSetting(f"PORTAL_URL is {url!r}; write the name in its xn-- form.")
    name = f"[{host}]" if ":" in host else host
    usual = port in (None, _DEFAULT_PORTS[parts.scheme])
    return f"{parts.scheme}://{name}" if usual else f"{parts.scheme}://{name}:{port}"


def _whole(raw: Raw, name: str, low: int, high: int) -> int:
    text = getattr(raw, name)
    if not text.isdigit() or not low <= int(text) <= high:
        raise BadSetting(f"PORTAL_{name.upper()} is {text!r}; use a number from {low} to {high}.")
    return int(text)


def _read_file(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}


def save_settings(data_dir: Path, values: Mapping[str, str]) -> None:
    """Add `values` to the settings file in the data folder, readable by its owner only."""
    data_dir.mkdir(parents=True, exist_ok=True)
    path = data_dir / SETTINGS_FILE
    merged = {**_read_file(path), **values}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in merged.items())
