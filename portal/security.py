"""Keys, tokens and password hashes. Nothing here knows about people or pages."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import uuid
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION
from itsdangerous import BadSignature, URLSafeSerializer

from portal.errors import BadSetting

_hasher = PasswordHasher()


def _hash_of_nothing() -> str:
    """A hash that no known password has. It is drawn and not computed: that would take a fifth of a
    second of every start."""
    h = _hasher
    drawn = (base64.b64encode(os.urandom(n)).decode().rstrip("=") for n in (h.salt_len, h.hash_len))
    costs = f"m={h.memory_cost},t={h.time_cost},p={h.parallelism}"
    return f"$argon2id$v={ARGON2_VERSION}${costs}${'$'.join(drawn)}"


# Verified when no such user exists, so that both answers take the same time.
_NOBODY = _hash_of_nothing()


class Keys:
    """The installation's secret keys, newest first; older ones still verify."""

    def __init__(self, keys: list[str]) -> None:
        if not keys:
            raise BadSetting("The key file in PORTAL_DATA_DIR is empty; restore it from a backup.")
        self.all = keys

    @classmethod
    def load(cls, data_dir: Path) -> Keys:
        """Read `keys.json` in the data folder; the first start writes it, mode 0600."""
        data_dir.mkdir(parents=True, exist_ok=True)
        path = data_dir / "keys.json"
        try:
            # O_EXCL: of two processes starting at once, one writes and the other reads.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls(json.loads(path.read_text()))
        with os.fdopen(descriptor, "w") as file:
            json.dump([secrets.token_urlsafe(48)], file)
        return cls(json.loads(path.read_text()))

    def sign(self, value: object, purpose: str) -> str:
        """`value` as a signed, URL-safe text that only this installation can make."""
        return str(URLSafeSerializer(self.all[::-1], salt=purpose).dumps(value))

    def unsign(self, text: str, purpose: str) -> object:
        """What `sign` was given. Raises ValueError when the text was made elsewhere or changed."""
        try:
            return URLSafeSerializer(self.all[::-1], salt=purpose).loads(text)
        except BadSignature as error:
            raise ValueError("the signature does not fit") from error

    def pseudonym(self, *parts: object) -> uuid.UUID:
        """A stable id for `parts` that cannot be traced back without the oldest key."""
        text = "\x1f".join(str(part) for part in parts)
        digest = hmac.new(self.all[-1].encode(), text.encode(), hashlib.sha256).digest()
        return uuid.UUID(bytes=digest[:16])


def new_token() -> str:
    """A fresh secret for a link or a cookie, 256 bits, URL-safe."""
    return secrets.token_urlsafe(32)


def new_code() -> str:
    """A fresh six-digit sign-in code."""
    return f"{secrets.randbelow(1_000_000):06d}"


def token_hash(token: str) -> str:
    """What the database keeps of a token: its SHA-256 in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def hash_password(password: str) -> str:
    """The argon2id hash of `password`. Slow on purpose: never inside the write door."""
    return _hasher.hash(password)


def verify_password(stored: str | None, password: str) -> bool:
    """Whether `password` fits. Takes the same time when nothing is stored."""
    try:
        return _hasher.verify(stored or _NOBODY, password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False
