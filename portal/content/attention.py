"""What a rendered page may report: tokens for content, and for the areas of the portal.

Everything outside content is kept per organisation, for the question how much time the portal
costs and where; only partners' pages carry such a token.
"""

from __future__ import annotations

import uuid
from datetime import timedelta

from flask import current_app, g, request

from portal.accounts.access import signed_in_user
from portal.accounts.models import Partner, PrivacyMode, User
from portal.accounts.service import PartnerFacts, installation, zone
from portal.clock import local_day, now, now_ms
from portal.content.models import AssetVersion, ShareLink
from portal.security import Keys
from tracking import events
from tracking.events import Viewer

AREAS = {
    "reports.home": "home",
    "content": "library",
    "deals": "deals",
    "surveys": "surveys",
}


def keys() -> Keys:
    """The keys that sign tokens of attention."""
    found: Keys = current_app.extensions["portal_keys"]
    return found


def privacy_mode(partner: Partner | PartnerFacts | None) -> str:
    """How far reading is tied to people of this partner."""
    row = installation()
    assert row is not None
    return row.privacy_by_country.get(partner.country if partner else "", row.privacy_mode)


def viewer(user: User) -> Viewer:
    """The person signed in, as far as tracking may know them."""
    day = local_day(now(), zone())
    return events.viewer_for(keys(), user, privacy_mode(user.partner), day)


def customer(link: ShareLink) -> Viewer:
    """Whoever opened a link. No cookie is set for customers: their browser's name and language
    tell the devices of one link apart, and nothing else."""
    description = f"{request.user_agent.string} {request.headers.get('Accept-Language', '')}"
    return events.customer(keys(), link.id, link.partner_id, description)


def content_token(who: Viewer, version: AssetVersion) -> str:
    """The token of one load of the viewer."""
    return events.issue_token(
        keys(),
        who,
        asset_id=version.asset_id,
        version_id=version.id,
        page_count=version.page_count,
    )


def searched(words: str, results: int) -> None:
    """This page shows the results of a search; its token says so."""
    g.searched = (words, results)


def page_attention() -> dict[str, object]:
    """For the layout: the token of this page's area, empty where nothing is measured."""
    user, area = signed_in_user(), _area()
    if user is None or user.is_vendor or not area or request.headers.get("Sec-GPC") == "1":
        return {"area_token": "", "area_now": 0}
    who = events.area_viewer(keys(), user, local_day(now(), zone()))
    words, results = g.get("searched", ("", 0))
    token = events.issue_area_token(keys(), who, area, words=words, results=results)
    return {"area_token": token, "area_now": now_ms()}


def _area() -> str:
    endpoint = request.endpoint or ""
    return AREAS.get(endpoint, AREAS.get(endpoint.split(".")[0], ""))


def subjects_of(user: User) -> list[uuid.UUID]:
    """Every id under which this person's reading may be kept, in whichever mode that was: of
    daily ones, those of the days that are not over yet for late reports."""
    today = local_day(now(), zone())
    days = [today - timedelta(days=n) for n in range(-1, 6)]
    reading = {
        events.subject_for(keys(), user.id, mode, day, user.erasures)
        for mode in PrivacyMode
        for day in days
    }
    areas = {events.area_subject(keys(), user, day) for day in days}
    return sorted(reading | areas)
