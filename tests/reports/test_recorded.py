"""What we record about you: that every table which holds something of a person was thought of."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask

import portal.factory  # noqa: F401  (every table there is)
from portal import clock, mail
from portal.accounts import absences, notices
from portal.accounts.models import User
from portal.db import Base, db, write
from portal.reports import records
from tests.conftest import Browse
from tests.pages import text_of
from tests.people import ada, anna, otto
from tests.test_architecture import ROOT

# Where a row says whose it is: on the page, or in the export.
SHOWN = {
    "absence.user_id", "deal.submitted_by_id", "deal_comment.author_id", "deal_file.by_id",
    "deal_history.actor_id", "internal_note.author_id", "lead.created_by_id",
    "lead_history.actor_id", "like_interval.user_id", "notice_choice.user_id", "outbox.user_id",
    "share_event.user_id", "survey_invitation.user_id", "survey_opt_out.user_id",
    "user_session.user_id",
}  # fmt: skip
# What is said in one of these already, or is gone within days; and what somebody of the vendor set
# or has to look after, which is about the company and not about them.
NOT_SHOWN = {
    "deal.first_approved_by_id", "deal.decided_by_id", "deal.seen_by_id", "deal.assignee_id",
    "deal.won_confirmed_by_id", "deal.revocation_by_id", "lead_offer.ended_by_id",
    "share_link.user_id", "teaming.by_id", "notice.user_id", "notice_bundle.user_id",
    "one_time_token.user_id", "absence.deputy_id", "survey_follow_up.owner_id",
    "partner.channel_manager_id", "asset_version.created_by_id", "baseline.entered_by_id",
    "customer_merge.by_id", "exchange_rate.entered_by_id", "import_run.by_id", "lead_rules.by_id",
    "policy.created_by_id", "rollout.declared_by_id",
}  # fmt: skip


def test_every_table_that_names_a_person_is_shown_to_them_or_left_out_on_purpose() -> None:
    found = {
        f"{table.name}.{column.name}"
        for table in Base.metadata.tables.values()
        for column in table.columns
        for key in column.foreign_keys
        if key.column.table.name == "user"
    }
    assert found == SHOWN | NOT_SHOWN
    assert not SHOWN & NOT_SHOWN


def test_every_mail_has_a_name_for_whoever_got_it() -> None:
    assert set(records.MAILS) == {
        path.name for path in (ROOT / "templates" / "emails").iterdir() if path.is_dir()
    }


def test_mails_absences_and_what_was_chosen_are_recorded_and_erased_with_the_person(
    app: Flask, browse: Browse
) -> None:
    today, deputy = clock.now().date(), otto().id
    with write((User, anna().id)) as session:
        person = session.get_one(User, anna().id)
        notices.choose(session, person, "Europe/Helsinki", [])
        week = today + timedelta(days=7)
        absences.set_absence(session, person, today, week, deputy, today)
        mail.queue(session, message="sign_in_code", user_id=person.id)
    page = text_of(browse(anna()).get("/account/recorded"))
    assert "Your reading is kept under a pseudonym and counts in no report." in page
    assert "Mail to you A code to sign in" in page
    assert "Otto Lang stands in" in page
    taken = browse(anna()).get("/account/recorded.json").json
    assert taken is not None
    assert taken["account"]["timezone"] == "Europe/Helsinki"
    assert taken["account"]["muted"]
    browse(ada()).post(f"/people/{anna().id}/deactivate")
    browse(ada()).post(f"/people/{anna().id}/erase")
    db.session.rollback()
    kept = absences.of_person(db.session(), anna().id), db.session.query(notices.NoticeChoice).all()
    assert kept == (None, [])
