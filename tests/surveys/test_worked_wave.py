"""Waves counted by hand: what became of each invitation, and every number that was answered."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import pytest
from flask import Flask, g
from sqlalchemy import update

from portal import clock, mail
from portal.accounts.models import User
from portal.db import db, write
from portal.mail import Outbox
from surveys.models import Mode, Response, Wave
from tests.conftest import Browse
from tests.deals.test_deals import register
from tests.factories import ZONE, days_ago, make_asset, make_family, make_partner, make_user
from tests.mailbox import deliver, links_of, mailbox
from tests.pages import text_of
from tests.people import anna
from tests.reports.test_reports import rows
from tests.surveys.asking import MORE_QUESTIONS, ask, make_survey, send
from tests.surveys.crowds import make_wave, singles
from tests.test_commands import command
from tests.tracking.test_rollups import rebuild
from tracking import events

# One person for each thing that can become of an invitation.
ENDS = (
    "complete", "partial", "declined", "opted_out", "nothing", "undeliverable", "unknown", "left",
)  # fmt: skip


def one_of_each(app: Flask, browse: Browse) -> Wave:
    """A wave with one person of each end; those who answer, the first two, are of one partner."""
    start = days_ago(10)
    first, second = make_partner("Alpha"), make_partner("Beta", tier="Silver")
    users = {
        name: make_user(email=f"{name}@x.example", partner=second if number > 1 else first)
        for number, name in enumerate(ENDS)
    }
    wave = ask(make_survey(start, questions=MORE_QUESTIONS), start)
    with clock.at(start), mailbox(app) as box:
        deliver()
        paths = {
            name: urlsplit(links_of(box.to(f"{name}@x.example")[-1])[10]).path for name in ENDS
        }
        stranger = browse(None)
        stranger.post(
            paths["complete"],
            data=send(
                stranger.get(paths["complete"]), company="9", experience="4",
                wish=["price", "speed"], channel="mail", support="cannot_say",
            ),
        )  # fmt: skip
        # Whoever leaves the required choice out has answered in part.
        part = send(stranger.get(paths["partial"]), company="6", experience="cannot_say")
        assert stranger.post(paths["partial"], data={**part, "wish": "tea"}).status_code == 400
        stranger.post(f"{paths['declined']}/decline")
        one_click = {"List-Unsubscribe": "One-Click"}
        stranger.post(f"{paths['opted_out']}/unsubscribe", data=one_click)
    with write() as session:
        for name, state in (("undeliverable", mail.FAILED), ("unknown", mail.UNKNOWN)):
            own = Outbox.user_id == users[name].id
            session.execute(update(Outbox).where(own).values(state=state))
        session.get_one(User, users["left"].id).deactivated_at = start + timedelta(days=1)
    return wave


def test_what_became_of_each_invitation_is_counted_once(
    app: Flask, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = one_of_each(app, browse).id
    manager = browse(anna())
    table = rows(manager.get(f"/surveys/waves/{key}/invitations.csv"))
    assert [(row["Invitations"], row["How many"]) for row in table] == [
        ("Answered in full", "1"), ("Answered in part", "1"), ("Declined", "1"),
        ("Wants no more surveys", "1"), ("Nothing came back", "1"),
        ("Mail could not be delivered", "1"), ("Not known whether the mail arrived", "1"),
        ("Lost access before answering", "1"),
        # Of eight less the one who had left.
        ("Response rate 1: in full, of all who could", "1 of 7 (3 to 51 %)"),
        ("Response rate 2: in part, too", "2 of 7 (8 to 64 %)"),
        ("Response rate of partners", "1 of 2"),
    ]  # fmt: skip
    page = text_of(manager.get(f"/surveys/waves/{key}"))
    for row in table:
        assert f"{row['Invitations']} {row['How many']}" in page
    # The mails were sent in the context of this test, which keeps what it read.
    g.pop("installation", None)
    answer = json.loads(command(app, monkeypatch, "report", "satisfaction", "--json"))
    (told,) = answer["waves"]
    assert told["invitations"] == dict.fromkeys(ENDS, 1)
    assert told["response_rate_1"] == pytest.approx(1 / 7)
    assert told["response_rate_2"] == pytest.approx(2 / 7)
    assert told["response_rate_partners"] == 0.5
    assert (told["people"], told["partners"]) == ([2, 8], [1, 2])
    assert told["company"] == {"mean": 7.5, "interval": None, "people": 2, "partners": 1}
    assert told["experience"] == {"mean": 4.0, "interval": None, "people": 1, "partners": 1}


def test_who_could_not_say_is_counted_of_the_whole_wave(app: Flask, browse: Browse) -> None:
    key = one_of_each(app, browse).id
    manager = browse(anna())
    table = rows(manager.get(f"/surveys/waves/{key}/questions.csv"))
    assert [(row["People"], row["Cannot say"]) for row in table] == [
        ("2", "0"), ("1", "1"), ("0", "1"),
    ]  # fmt: skip
    page = manager.get(f"/surveys/waves/{key}")
    assert 'href="/reports/definitions#cannot_say"' in page.text
    part = rows(manager.get(f"/surveys/waves/{key}/questions.csv?tier=Gold"))
    assert [row["Cannot say"] for row in part] == [""] * 3
    with write() as session:
        session.get_one(Wave, key).mode = Mode.confidential
    # Of too few it is not told, as nothing is.
    table = rows(manager.get(f"/surveys/waves/{key}/questions.csv"))
    assert [row["Cannot say"] for row in table] == [""] * 3


def test_what_they_chose_is_counted_by_person(app: Flask, browse: Browse) -> None:
    key = one_of_each(app, browse).id
    manager = browse(anna())
    table = rows(manager.get(f"/surveys/waves/{key}/choices.csv"))
    assert [(row["Question"], row["Chosen"], row["People"]) for row in table] == [
        ("What first?", "Price", "1 of 2"), ("What first?", "Speed", "1 of 2"),
        ("What first?", "Tea", "1 of 2"),
        ("How do you reach us?", "Phone", "0 of 1"), ("How do you reach us?", "Mail", "1 of 1"),
    ]  # fmt: skip
    assert "What first? Tea 1 of 2" in text_of(manager.get(f"/surveys/waves/{key}"))


def downloads(user: User, at: datetime) -> None:
    """A content activity that was done on purpose."""
    db.session.rollback()
    with clock.at(at):
        asset = make_asset()
        with write() as session:
            viewer = events.Viewer(user.id, user.partner_id, "partner")
            events.grant_download(session, viewer, asset.id, asset.versions[0].id, 9, ZONE)


def test_who_answered_stands_beside_who_did_not(app: Flask, browse: Browse) -> None:
    # Five that answer: all Gold, three of the North. Five that do not: one Gold, two of the North.
    facts = [("Gold", "NNNSS"[number]) for number in range(5)]
    facts += [("Gold", "N"), ("Silver", "N"), *[("Silver", "S")] * 3]
    people = []
    for number, (tier, region) in enumerate(facts, 1):
        partner = make_partner(f"No {number}", tier=tier, region=region)
        people.append((partner, [make_user(partner=partner)]))
    # Two of those that answered and one of the rest were active in the 90 days before; others
    # a day too early, and on the day on which it opened.
    for number, back in ((1, 90), (2, 1), (6, 40), (3, 91), (7, 0)):
        downloads(people[number - 1][1][0], days_ago(30 + back))
    rebuild()
    made = make_wave(people, {f"No {number}": [7] for number in range(1, 6)}, back=30)
    manager = browse(anna())
    table = rows(manager.get(f"/surveys/waves/{made.id}/nonresponse.csv"))
    # Newcombe's intervals, with Wilson's 5/5 [.566, 1], 4/5 [.376, .964], 3/5 [.231, .882],
    # 2/5 [.118, .769], 1/5 [.036, .624], 0/5 [0, .434].
    assert [tuple(row.values()) for row in table] == [
        ("Tier", "Gold", "5 of 5", "1 of 5", "+80 points (+19 to +96)"),
        ("Tier", "Silver", "0 of 5", "4 of 5", "\u221280 points (\u221296 to \u221219)"),
        ("Region", "N", "3 of 5", "2 of 5", "+20 points (\u221232 to +60)"),
        ("Region", "S", "2 of 5", "3 of 5", "\u221220 points (\u221260 to +32)"),
        (
            "Content",
            "active in the 90 days before",
            "2 of 5",
            "1 of 5",
            "+20 points (\u221231 to +60)",
        ),
    ]
    page = text_of(manager.get(f"/surveys/waves/{made.id}"))
    for row in table:
        assert " ".join(row.values()) in page


def test_the_partners_that_fell_most_come_first(app: Flask, browse: Browse) -> None:
    people = singles(4)
    for back, scores in ((60, (9, 8, 5, 7)), (30, (7, 2, 5, 9))):
        given = {f"No {number}": [score] for number, score in enumerate(scores, 1)}
        make_wave(people, given, back=back)
    manager = browse(anna())
    fell = rows(manager.get("/reports/satisfaction/trend/fell.csv"))
    assert [tuple(row.values()) for row in fell] == [
        ("No 2", "8.00", "2.00", "\u22126.0"), ("No 1", "9.00", "7.00", "\u22122.0"),
    ]  # fmt: skip
    assert "No 2 8.0 2.0 \u22126.0 No 1 9.0 7.0" in text_of(
        manager.get("/reports/satisfaction/trend")
    )


def test_parts_by_family_and_by_language_are_of_those_who_belong_there(
    app: Flask, browse: Browse
) -> None:
    people = singles(4)
    made = make_wave(people, {f"No {number}": [2 * number] for number in range(1, 5)})
    family = make_family("Pumps")
    for number in (1, 2):
        register(browse, people[number - 1][1][0], product_family_id=str(family.id))
    with write() as session:
        for number in (2, 3):
            own = Response.partner_id == people[number - 1][0].id
            session.execute(update(Response).where(own).values(locale="de"))
    manager, path = browse(anna()), f"/surveys/waves/{made.id}"
    parts = {(row["By"], row["Part"]): row for row in rows(manager.get(f"{path}/parts.csv"))}
    for name, n, mean in (
        (("Product family", "Pumps"), "2", "3.00"), (("Language", "Deutsch"), "2", "5.00"),
        (("Language", "English"), "2", "5.00"), (("Tier", "Gold"), "4", "5.00"),
    ):  # fmt: skip
        row = parts[name]
        assert (row["Partners"], row["People"], row["The company"]) == (n, n, mean), name
    said = "Tier and region as they were when the wave opened; families by the deals so far."
    assert said in text_of(manager.get(path))
    for query, n, mean in (
        (f"family={family.id}", "2", "3.00"), ("locale=de", "2", "5.00"),
        (f"family={family.id}&locale=de", "1", "4.00"), ("locale=fr", "0", ""),
    ):  # fmt: skip
        row = rows(manager.get(f"{path}/questions.csv?{query}"))[0]
        assert (row["People"], row["Mean"]) == (n, mean), query
        assert (f"{float(mean):.1f} of 10" if mean else "–") in text_of(
            manager.get(f"{path}?{query}")
        )


@pytest.mark.parametrize("mode", [Mode.attributed, Mode.confidential])
def test_a_partners_page_says_what_its_people_answered(
    app: Flask, browse: Browse, mode: str
) -> None:
    alpha = make_partner("Alpha")
    people = [*singles(5), (alpha, [make_user(partner=alpha) for _n in range(5)])]
    scores = {f"No {number}": [number] for number in range(1, 6)} | {"Alpha": [4, 5, 6, 7, 8]}
    made = make_wave(people, scores, mode)
    manager, path = browse(anna()), f"/reports/partners/{alpha.id}"
    (row,) = rows(manager.get(f"{path}/satisfaction.csv"))
    assert (row["The company"], row["The partner experience"], row["People"]) == (
        "6.00", "6.00", "5",
    )  # fmt: skip
    assert f"{row['Wave']} 6.0 6.0 5" in text_of(manager.get(path))
    (own, *_others) = [
        one
        for one in rows(manager.get(f"/surveys/waves/{made.id}/partners.csv"))
        if one["Partner"] == alpha.name
    ]
    assert (own["People"], own["The company"]) == ("5 of 5", "6.00")
    single = rows(manager.get(f"/reports/partners/{people[0][0].id}/satisfaction.csv"))
    assert [one["The company"] for one in single] == (["1.00"] if mode == Mode.attributed else [])
