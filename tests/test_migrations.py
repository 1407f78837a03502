"""Migrations with data in the tables, on both engines, up and down and up again."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec
import pytest
from flask import current_app
from flask_migrate import downgrade, upgrade
from sqlalchemy import func, inspect, select, text, update

from portal import mail
from portal.accounts.models import Partner, User
from portal.accounts.notices import Notice
from portal.accounts.service import set_up
from portal.clock import now, now_ms
from portal.db import db, new_id, write
from portal.deals.models import Customer, Deal, DealHistory, DealReminder, Policy, Protection
from portal.deals.policy_versions import ensure_policy
from portal.health import migrations_are_current
from portal.reports import rates
from portal.reports.baselines import Entry
from surveys import definitions
from surveys.models import Answer, Invitation, Response, Survey, SurveyLink, Wave
from tests import engines
from tests.factories import make_asset, make_family, make_partner, make_user
from tests.people import anna, lena
from tests.tracking.reports import post, row, slot_now, token_for
from tracking import events, metrics, rollups, verify
from tracking.sums import AssetSum, PageSum, PartnerSum, SearchSum

TODAY = metrics.Scope(now().date() - timedelta(days=1), now().date() + timedelta(days=2))


def columns_of(table: str) -> list[str]:
    """The names of the columns that a table has now, as they stand."""
    return [column["name"] for column in inspect(db.engine).get_columns(table)]


LOST = datetime(2026, 3, 10, 12, tzinfo=UTC)


def add_lost_deal(person: User, manager: User) -> None:
    """A deal that was lost, with the line of its history, under the first rules."""
    assert person.partner_id is not None
    with write() as session:
        ensure_policy(session, LOST)
        customer = Customer(
            id=new_id(),
            name="Häfen Emden",
            name_key="hafen emden",
            domain="",
            country="DE",
            created_at=LOST,
        )
        session.add(customer)
        session.flush()
        deal = Deal(
            id=new_id(),
            reference="R",
            customer_name="Hafen Emden GmbH",
            domain="www.hafen-emden.de",
            customer_id=customer.id,
            partner_id=person.partner_id,
            submitted_by_id=person.id,
            created_at=LOST,
            status="closed",
            stage="lost",
            loss_reason="price",
            lost_at=LOST,
        )
        session.add(deal)
        session.flush()
        session.add(
            DealHistory(
                deal_id=deal.id,
                at=LOST,
                actor_id=manager.id,
                side="vendor",
                move="lose",
                from_status="approved",
                to_status="closed",
            )
        )


def add_wave(people: list[User]) -> uuid.UUID:
    """A wave that asked some people by mail, of whom the first answered; returns its key."""
    with write() as session:
        questionnaire = definitions.standard(session, LOST)
        survey = Survey(
            id=new_id(), name="Pulse", questionnaire_id=questionnaire.id, rrule="FREQ=YEARLY",
            starts_local="2026-03-02T09:00:00", timezone="Europe/Berlin", open_days=14,
            created_at=LOST,
        )  # fmt: skip
        session.add(survey)
        session.flush()
        wave = Wave(
            id=new_id(), survey_id=survey.id, occurrence_local="2026-03-02T09:00:00", state="open",
            questionnaire_id=questionnaire.id, opened_at=LOST, closes_at=LOST + timedelta(days=14),
        )  # fmt: skip
        session.add(wave)
        session.flush()
        for number, person in enumerate(people):
            assert person.partner_id is not None
            asked = Invitation(
                id=new_id(), wave_id=wave.id, user_id=person.id, partner_id=person.partner_id,
                tier="Gold", region="DACH",
            )  # fmt: skip
            session.add(asked)
            session.flush()
            session.add(SurveyLink(token_hash=f"hash {number}", invitation_id=asked.id))
            if number == 0:
                scores = [Answer(question=name, value=7) for name in definitions.CORE]
                reply = Response(
                    id=new_id(), invitation_id=asked.id, wave_id=wave.id, comment="Fine",
                    partner_id=person.partner_id, submission_id="s", answered_at=LOST,
                )  # fmt: skip
                reply.answers = scores
                session.add(reply)
    return wave.id


def check_waves_before_modes() -> None:
    """What the older tables hold of the wave: one link of each invitation, and the questions."""
    assert "survey_link" not in inspect(db.engine).get_table_names()
    with db.engine.connect() as connection:
        hashes = connection.scalars(text("SELECT token_hash FROM survey_invitation")).all()
        assert sorted(hashes) == ["hash 0", "hash 1"]
        body = connection.scalar(text("SELECT CAST(body AS TEXT) FROM questionnaire"))
        assert json.loads(body or "")["de"]["low"] == "überhaupt nicht zufrieden"
        assert connection.scalar(text("SELECT sum(value) FROM answer")) == 14


def check_wave(wave_id: uuid.UUID, people: list[User]) -> None:
    """The wave as it was, with what is new filled in."""
    rows = db.session.scalars(select(Invitation).where(Invitation.wave_id == wave_id)).all()
    by_person = {row.user_id: row for row in rows}
    first, second = (by_person[person.id] for person in people)
    assert (first.answered, second.answered) == ("complete", None)
    # Only one of those who share a mailbox has it.
    assert sorted((first.mailbox is None, second.mailbox is None)) == [False, True]
    assert (first.locale, second.locale) == ("en", "de")
    links = db.session.execute(select(SurveyLink.token_hash, SurveyLink.invitation_id))
    assert sorted(map(tuple, links)) == [("hash 0", first.id), ("hash 1", second.id)]
    wave = db.session.get_one(Wave, wave_id)
    frozen = wave.mode, wave.kind, wave.minimum_n, wave.left_out
    assert frozen == ("attributed", "scheduled", 5, {})
    assert wave.questionnaire.body == definitions.STANDARD
    assert first.response is not None
    assert (first.response.complete, first.response.comment) == (True, "Fine")
    db.session.remove()


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_the_newest_migration_keeps_what_is_there_and_can_go_back(engine: str) -> None:
    settings = engines.settings_for(engine, engines.folder() / f"migrate_{engine}")
    with engines.opened(settings) as app:
        upgrade()
        with write() as session:
            set_up(session, company="N", timezone="UTC", privacy_mode="person")
        person, manager = lena(), anna()
        with write((Partner, person.partner_id)) as session:
            partner = session.get_one(Partner, person.partner_id)
            partner.channel_manager_id = manager.id
        token = token_for(person, make_asset())
        with app.test_request_context():
            assert post(token, row(slot_now(), active=3000), activated=now_ms()).status_code == 200
        rollups.rebuild_marked(db.engine, ZoneInfo("UTC"), at_once=True)
        before = metrics.total(db.session(), TODAY)
        assert before.views == 1
        add_lost_deal(person, manager)
        asked = [person, make_user(email="lena+kai@kuehn.example", locale="de")]
        wave_id = add_wave(asked)
        db.session.remove()
        downgrade(revision="0002")
        check_waves_before_modes()
        assert "emptied_at" not in columns_of("day_state")
        assert "partners" not in columns_of("sum_asset")
        assert "decision_days" in columns_of("policy")
        assert "company_key" not in columns_of("customer")
        with db.engine.connect() as connection:
            assert not migrations_are_current(connection)
            assert connection.scalar(text("SELECT count(*) FROM load")) == 1
            assert connection.scalar(text("SELECT count(*) FROM deal_history")) == 1
            assert connection.scalar(text("SELECT decision_days FROM policy")) == 2
        upgrade()
        with db.engine.connect() as connection:
            assert migrations_are_current(connection)
        assert db.session.scalar(select(func.count()).select_from(User)) == 3
        db.session.remove()
        check_wave(wave_id, asked)
        rules = db.session.scalars(select(Policy)).one()
        assert (rules.decision_hours, rules.opens, rules.benefits) == (16, 540, "")
        # Companies are known by their keys again.
        lost = db.session.scalars(select(Deal)).one()
        assert (lost.company_key, lost.domain_key) == ("hafen emden", "hafen-emden.de")
        assert db.session.scalars(select(Customer.company_key)).one() == "haefen emden"
        # The day it was lost is that of the move.
        assert db.session.scalars(select(Deal.lost_at)).one() == LOST
        db.session.remove()
        # Numbers are computed again by the rules of this version, from what was kept.
        assert rollups.rebuild_marked(db.engine, ZoneInfo("UTC"), at_once=True) >= 1
        assert metrics.total(db.session(), TODAY) == before
        db.session.remove()
        # What is new is filled from what was there, of days, dekads and months.
        assert list(verify.differences(db.engine, ZoneInfo("UTC"))) == []
        if engine == "sqlite":
            assert columns_of("sum_asset")[-3:] == ["people", "partners", "dwells"]


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_reminders_and_mails_that_wait_survive_the_change_to_one_mail_a_day(engine: str) -> None:
    folder = engines.folder() / f"migrate_notices_{engine}"
    with engines.opened(engines.settings_for(engine, folder, migrated=True)):
        with write() as session:
            set_up(session, company="N", timezone="UTC", privacy_mode="person")
        add_lost_deal(lena(), anna())
        deal, family = db.session.scalars(select(Deal)).one(), make_family()
        customer = Customer(id=new_id(), name="H", name_key="h", country="DE", created_at=LOST)
        with write() as session:
            session.add(customer)
            session.flush()
            end = {"starts_at": LOST, "ends_at": LOST}
            session.add(
                Protection(
                    deal_id=deal.id, customer_id=customer.id, product_family_id=family.id, **end
                )
            )
            for number, step in ((0, 30), (0, 7), (1, 30)):
                values = {"kind": "protection", "round": number, "step": step, "noted_at": LOST}
                session.add(DealReminder(deal_id=deal.id, **values))
        db.session.remove()
        downgrade(revision="0008")
        with write() as session:
            steps = session.scalars(text("SELECT days_before FROM protection_reminder")).all()
            assert sorted(steps) == [7, 30]
            mails = [("deal_submitted", "waiting"), ("deal_news", "waiting"), ("deal_news", "sent")]
            for number, (message, state) in enumerate(mails):
                row = mail.Outbox(
                    message=message, message_id=f"{number}", user_id=anna().id, state=state,
                    params={"deal": str(deal.id)}, created_at=LOST, due_at=LOST,
                )  # fmt: skip
                session.add(row)
        db.session.remove()
        upgrade()
        found = db.session.scalars(select(DealReminder)).all()
        assert sorted((row.round, row.step) for row in found) == [(0, 7), (0, 30)]
        kinds = db.session.execute(select(Notice.kind, Notice.subject_id, Notice.created_at))
        assert sorted(tuple(row) for row in kinds) == [
            ("deal_submitted", deal.id, LOST), ("extension_decided", deal.id, LOST),
        ]  # fmt: skip
        assert sorted(db.session.scalars(select(mail.Outbox.state))) == [
            "expired", "expired", "sent",
        ]  # fmt: skip


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_exchange_rates_come_and_go_with_their_tables(engine: str) -> None:
    folder = engines.folder() / f"migrate_rates_{engine}"
    with engines.opened(engines.settings_for(engine, folder, migrated=True)):
        with write() as session:
            set_up(session, company="N", timezone="UTC", privacy_mode="person")
            rates.choose_currency(session, "CHF")
            slot = rates.Slot("USD", LOST.date())
            rates.enter(session, {slot: Decimal("0.9")}, "CHF", Entry(None))
        assert rates.known(db.session(), "CHF") == {"USD": [(LOST.date(), Decimal("0.9"))]}
        db.session.remove()
        downgrade(revision="0010")
        assert "exchange_rate" not in inspect(db.engine).get_table_names()
        upgrade()
        assert rates.reporting_currency(db.session()) == "EUR"
        db.session.remove()


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_what_older_tables_cannot_hold_is_not_lost_without_a_word(
    engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    with engines.migrated_app(engine).app_context():
        engines.empty(engines.migrated_app(engine))
        add_wave([lena()])
        with write() as session:
            session.execute(update(Response).values(invitation_id=None))
        db.session.remove()
        with pytest.raises(SystemExit):
            downgrade(revision="0010")
        assert "There are anonymous answers" in caplog.text
        assert db.session.query(Response).count() == 1
        db.session.remove()


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_sums_of_pages_and_searches_are_the_same_after_going_back_and_on(engine: str) -> None:
    folder = engines.folder() / f"migrate_sums_{engine}"
    with engines.opened(engines.settings_for(engine, folder, migrated=True)) as app:
        with write() as session:
            set_up(session, company="N", timezone="UTC", privacy_mode="pseudonymous")
        partners = [make_user(email=f"a@p{n}.example", partner=make_partner()) for n in range(4)]
        with app.test_request_context():
            for person in partners:
                token = token_for(person, make_asset())
                rows = [row(slot_now(), page, active=3000) for page in (1, 2)]
                assert post(token, *rows, activated=now_ms()).status_code == 200
            for person, words, results in (
                (partners[0], "atex", 0), (partners[0], "atex", 0), (partners[1], "atex", 0),
                (partners[1], "atex", 7), (partners[2], "wartung", 3),
            ):  # fmt: skip
                token = search_token(person, words, results)
                assert (
                    post(token, row(slot_now(), active=900), activated=now_ms()).status_code == 200
                )
        rollups.rebuild_marked(db.engine, ZoneInfo("UTC"), at_once=True)
        before = kept_sums()
        assert {row[0] for row in before["sum_search"]} == {"day", "dekad", "month"}
        db.session.remove()
        downgrade(revision="0016")
        with db.engine.connect() as connection:
            times = "SELECT words, found, sum(searches) FROM sum_search GROUP BY 1, 2"
            found = {(row[0], bool(row[1]), int(row[2])) for row in connection.execute(text(times))}
            assert found == {("atex", False, 3), ("atex", True, 1), ("wartung", True, 1)}
            longest = "SELECT people FROM sum_partner ORDER BY length(people) DESC"
            people = connection.scalar(text(longest))
        # Four readers are a list there, and bits before and after.
        assert len(msgspec.msgpack.decode(bytes(people))) == 4
        upgrade()
        assert kept_sums() == before
        assert list(verify.differences(db.engine, ZoneInfo("UTC"))) == []
        db.session.remove()


def kept_sums() -> dict[str, list[tuple[object, ...]]]:
    """Every row of the sums of partners, assets, pages and searches."""
    tables = [AssetSum.__table__, PageSum.__table__, PartnerSum.__table__, SearchSum.__table__]
    with db.engine.connect() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)  # type: ignore[attr-defined]
            for table in tables
        }


def search_token(person: User, words: str, results: int) -> str:
    """A page of results in the library of this person."""
    keys = current_app.extensions["portal_keys"]
    viewer = events.area_viewer(keys, person, now().date())
    return events.issue_area_token(keys, viewer, "library", words=words, results=results)
