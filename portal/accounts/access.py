"""Who may use which route. Every view carries exactly one of these; a test enforces it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

from flask import abort, g, redirect, request, url_for
from werkzeug.wrappers import Response

from portal.accounts.models import PARTNER_ROLES, VENDOR_ROLES, Role, User

P = ParamSpec("P")
R = TypeVar("R")

ANYONE = "anyone"


def current_user() -> User:
    """The person signed in; only for views that require one."""
    user: User | None = g.get("user")
    if user is None:
        abort(403)
    return user


def signed_in_user() -> User | None:
    """The person signed in, or None."""
    user: User | None = g.get("user")
    return user


def _guard(
    name: str, roles: frozenset[Role] | None
) -> Callable[[Callable[P, R]], Callable[P, R | Response]]:
    def decorate(view: Callable[P, R]) -> Callable[P, R | Response]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R | Response:
            if roles is not None:
                user = signed_in_user()
                if user is None:
                    return _to_sign_in()
                if user.role not in roles:
                    # As if it did not exist: a partner learns nothing about the vendor's pages.
                    abort(404)
            return view(*args, **kwargs)

        guarded.access = name  # type: ignore[attr-defined]
        return guarded

    return decorate


def _to_sign_in() -> Response:
    wanted = request.full_path.rstrip("?") if request.method in ("GET", "HEAD") else None
    return redirect(url_for("accounts.sign_in", next=wanted))


def local_path(path: str | None) -> str | None:
    """`path` when it stays within this portal, else None: no open redirects."""
    if not path or not path.startswith("/") or path.startswith(("//", "/\\")):
        return None
    parts = urlsplit(path)
    return None if parts.scheme or parts.netloc or "\\" in path else path


public = _guard(ANYONE, None)
signed_in = _guard("signed in", PARTNER_ROLES | VENDOR_ROLES)
partners_only = _guard("partners", PARTNER_ROLES)
vendor_only = _guard("vendor", VENDOR_ROLES)
admin_only = _guard("administrators", frozenset({Role.admin}))
partner_admins_and_vendor = _guard(
    "partner admins and vendor", VENDOR_ROLES | frozenset({Role.partner_admin})
)
