"""The demo company: the same every time, true to its own rows, and gone when it is taken away."""

from __future__ import annotations

import itertools
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from flask import Flask
from sqlalchemy import func, select

from portal import clock, demo
from portal.accounts.models import Partner, User
from portal.cli import portal
from portal.config import Settings
from portal.content import previews
from portal.content.models import Asset, AssetVersion, PreviewState
from portal.db import Base, db
from portal.deals.models import Deal, Protection
from portal.errors import Refused
from portal.leads.models import Lead
from portal.leads.stages import Stage
from surveys.models import Answer, FollowUp, Response, Wave
from tests import engines
from tests.conftest import Browser
from tests.pages import text_of
from tracking import verify
from tracking.models import Download, Load, ShareEvent

# One worker fills it for all tests here, once on each engine.
pytestmark = pytest.mark.xdist_group("the demo company")


def filled_on(engine: str, from_folder: Path) -> Settings:
    """A portal filled with the demo: on SQLite a copy of one that is."""
    folder = engines.folder() / f"demo_{engine}"
    if engine == "sqlite":
        shutil.copytree(from_folder, folder, symlinks=True)
        return engines.settings_for(engine, folder)
    settings = engines.settings_for(engine, folder, migrated=True)
    # The images of pages are the same whatever the engine: they are not made again.
    with engines.opened(settings), patch.object(previews, "render", lambda *_args: 1):
        with clock.at(clock.now().replace(microsecond=0)):
            demo.fill()
        db.session.remove()
    return settings


@pytest.fixture(scope="module", params=engines.ENGINES)
def filled(request: pytest.FixtureRequest, demo_folder: Path) -> Iterator[Flask]:
    """A portal filled with the demo, once for all tests here."""
    with engines.opened(filled_on(request.param, demo_folder)) as app:
        app.test_client_class = Browser
    # Outside its context, like an application that waits for requests.
    yield app
    with app.app_context():
        db.engine.dispose()


def counted(model: type[Base]) -> int:
    """How many rows there are."""
    return db.session.scalar(select(func.count()).select_from(model)) or 0


def test_it_has_the_size_that_was_promised(filled: Flask) -> None:
    with filled.app_context():
        assert (counted(Partner), counted(User), counted(Asset)) == (48, 170, 60)
        assert counted(Load) > 5000
        assert counted(Download) > 500
        assert counted(ShareEvent) > 500
        assert counted(Deal) > 400
        assert counted(Wave) == 10
        assert counted(Response) > 300
        answers = db.session.scalars(select(Answer)).all()
        assert {"company", "support", "why", "first"} <= {row.question for row in answers}
        assert sum(bool(row.text) for row in answers) > 30
        assert {row.missing for row in answers if row.choices or row.text} == {None}
        followed = Counter(db.session.scalars(select(FollowUp.state)))
        assert followed["opened"] > 0
        assert followed["closed"] > 0
        statuses = Counter(db.session.scalars(select(Deal.status)))
        stages = Counter(db.session.scalars(select(Lead.stage)))
        assert set(stages) == {stage.value for stage in Stage}
        assert stages.total() > 200
        assert set(statuses) >= {
            "draft", "submitted", "returned", "approved", "rejected", "withdrawn", "closed",
            "expired",
        }  # fmt: skip
        versions = db.session.scalars(select(AssetVersion)).all()
        assert {row.language for row in versions} == {"en", "de", "nl", "fi", "it"}
        assert len({row.sha256 for row in versions}) == len(versions)
        assert {row.preview_state for row in versions} == {PreviewState.ready}
        first = db.session.scalars(select(Load.issued_at).order_by(Load.issued_at)).first()
        assert first is not None
        assert (clock.now_ms() - first) / 86_400_000 > 690


def test_its_numbers_are_true_and_its_protections_never_overlap(filled: Flask) -> None:
    with filled.app_context():
        zone = ZoneInfo(demo.TIMEZONE)
        assert list(verify.differences(db.engine, zone)) == []
        spans: dict[object, list[tuple[object, object]]] = {}
        for row in db.session.scalars(select(Protection)):
            key = row.customer_id, row.product_family_id
            spans.setdefault(key, []).append((row.starts_at, row.ends_at))
        for found in spans.values():
            ordered = sorted(found)
            pairs = itertools.pairwise(ordered)
            assert all(one[1] <= two[0] for one, two in pairs)  # type: ignore[operator]


def test_its_rivals_are_found_with_the_evidence_beside_the_claim(filled: Flask) -> None:
    filled.config["WTF_CSRF_ENABLED"] = False
    with filled.app_context():
        mine = select(Deal.id).where(Deal.customer_name == "Brandt & Söhne")
        key = db.session.scalars(mine).one()
        anna = filled.test_client()
        anna.post("/demo/enter/manager")
        page = text_of(anna.get(f"/deals/{key}"))
        assert "Brandt Soehne GmbH the same company Registered by Pumpen Nord" in page
        assert "web domain: brandt-soehne.example" in page
        lena = filled.test_client()
        lena.post("/demo/enter/partner")
        assert "Pumpen Nord" not in lena.get(f"/deals/{key}").text


def test_its_people_come_in_by_button_and_by_password(filled: Flask) -> None:
    filled.config["WTF_CSRF_ENABLED"] = False
    with filled.app_context():
        for who, name in (("partner", "Lena"), ("manager", "Anna"), ("admin", "Tilda")):
            client = filled.test_client()
            client.post(f"/demo/enter/{who}")
            assert name in text_of(client.get("/"))
        for email, password in demo.PASSWORDS.values():
            data = {"email": email, "password": password}
            assert filled.test_client().post("/sign-in", data=data).location == "/"


def test_it_fills_only_an_empty_portal(filled: Flask) -> None:
    with filled.app_context(), pytest.raises(Refused, match="in use"):
        demo.fill()


def test_the_same_seed_gives_the_same_data(tmp_path: Path) -> None:
    from random import Random

    from portal.demo import cast

    now = clock.now()
    drawn = [cast.build(Random(1), now, {}, str) for _time in range(2)]
    rows = [[person.row for p in found.partners for person in p.people] for found in drawn]
    assert rows[0] == rows[1]


def test_a_portal_that_is_no_demo_cannot_be_removed(app: Flask) -> None:
    with pytest.raises(Refused, match="does not hold the demo"):
        demo.remove()


def test_removing_it_leaves_an_empty_portal(filled: Flask) -> None:
    with filled.app_context():
        removed = demo.remove()
        assert removed["partner"] == 48
        assert removed["load"] > 5000
        for table in Base.metadata.tables.values():
            assert db.session.scalar(select(func.count()).select_from(table)) == 0, table.name
        assert "Try the demo" not in text_of(filled.test_client().get("/sign-in"))


def test_the_commands_explain_themselves() -> None:
    said = CliRunner().invoke(portal, ["--help"]).output
    for name in ("setup", "serve", "scheduler", "db", "demo", "users", "jobs", "verify", "rebuild"):
        assert name in said
