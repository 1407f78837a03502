"""What nobody can learn from reports, however many of them they ask for and subtract.

Anna takes every report and file over many periods. Each figure that is shown is a sum of what some
partners read of some assets on some days, so all she can compute is a combination of those sums:
what a partner read of one asset or on one day must be none of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import product

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from portal import clock
from portal.accounts.models import Partner, PrivacyMode, User
from portal.accounts.service import accesses
from portal.content.models import Asset
from portal.db import db, write
from portal.reports.disclosure import MIN_PEOPLE, spans_of_few
from tests.conftest import Browse
from tests.factories import make_asset, make_colleagues, make_partner, make_user, version_of
from tests.pages import text_of
from tests.people import anna, jonas, kuehn, lena
from tests.reports.test_content_reports import set_mode, token_of
from tests.reports.test_reports import rows
from tests.tracking.reports import post, row, slot_now
from tests.tracking.test_hardening import area_token
from tests.tracking.test_rollups import rebuild

NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)
MARCH, APRIL = (date(2026, 3, 1), date(2026, 3, 31)), (date(2026, 4, 1), date(2026, 4, 30))
DAY = date(2026, 4, 14)
ONE_DAY = timedelta(days=1)
# Periods of which some differ by one day, and some by one month.
PERIODS = {
    "the day": (DAY, DAY),
    "from the day": (DAY, date(2026, 5, 20)),
    "two months": (MARCH[0], APRIL[1]),
    "a month": APRIL,
    "a month less a day": (APRIL[0] + ONE_DAY, APRIL[1]),
}
# The days on which anybody read: as if the spy knew that nothing happened on the others.
DAYS = [date(2026, 3, 24), DAY - 10 * ONE_DAY, DAY - ONE_DAY, DAY, DAY + ONE_DAY]


def query(first: date, last: date) -> str:
    return f"?from={first}&to={last}"


def partner_of(people: int, name: str) -> tuple[Partner, User]:
    partner = make_partner(name)
    reader = make_user(f"Reader of {name}", partner=partner)
    make_colleagues(partner, people - 1)
    return partner, reader


def day_of(text: str) -> date:
    """`1 Mar 2026` as a day."""
    return datetime.strptime(text, "%d %b %Y").replace(tzinfo=UTC).date()


def reads(person: User, asset: Asset, day: date, milliseconds: int, hour: int = 10) -> None:
    db.session.expire_all()
    with clock.at(datetime(day.year, day.month, day.day, hour, tzinfo=UTC)):
        sent = row(slot_now(), active=milliseconds)
        answer = post(token_of(person, asset), sent, activated=clock.now_ms())
        assert answer.status_code == 200


@pytest.fixture
def now(app: Flask) -> Iterator[None]:
    with clock.at(NOW):
        yield


# --- partners of 1, 2, 3 and 5 people -----------------------------------------------------------


@pytest.mark.parametrize(
    ("people", "mode"),
    [
        (1, PrivacyMode.pseudonymous),
        (2, PrivacyMode.organisation),
        (3, PrivacyMode.organisation),
        (5, PrivacyMode.pseudonymous),
    ],
)
def test_no_combination_of_reports_gives_the_reading_of_a_small_partner_away(
    app: Flask, now: None, browse: Browse, people: int, mode: PrivacyMode
) -> None:
    set_mode(mode)
    partner, reader = partner_of(people, "Studied AG")
    others = [partner_of(n, f"Other {n}") for n in (4, 6)]
    assets = [make_asset("The asset"), make_asset("A decoy")]
    reads(reader, assets[0], DAY, 7_000)
    reads(reader, assets[1], DAYS[1], 3_000)
    for number, (_other, person) in enumerate(others):
        for day in DAYS:
            reads(person, assets[0], day, 4_000 + 500 * number, 11 + number)
    rebuild()
    spy = Spy(browse(anna()), [partner, *(other for other, _person in others)], assets)
    whole = [(0, asset, day) for asset in (0, 1) for day in DAYS]
    assert spy.knows([cell for cell in whole if cell[2] > MARCH[1]])
    of_the_day, of_the_asset = [(0, 0, DAY), (0, 1, DAY)], [(0, 0, day) for day in DAYS]
    for secret in (of_the_day, of_the_asset, of_the_day[:1]):
        assert spy.knows(secret) == (people >= MIN_PEOPLE)
    page = text_of(spy.browser.get(f"/reports/partners/{partner.id}{query(*APRIL)}"))
    assert "Dwell time 10 s" in page
    assert ("1 of 5 people" in page) == (people == 5)
    assert ("whole months only" in page) == (people < MIN_PEOPLE)


Cell = tuple[int, int, date]


class Spy:
    """Somebody of the vendor who keeps every answer: each figure of dwell time is a row of a
    matrix, with a one for every (partner, asset, day) that is in it."""

    def __init__(self, browser: FlaskClient, partners: list[Partner], assets: list[Asset]) -> None:
        self.browser, self.partners, self.assets = browser, partners, assets
        self.cells = list(product(range(len(partners)), range(len(assets)), DAYS))
        # By the place of its first one; those before it are zero.
        self.known: dict[int, list[Fraction]] = {}
        for first, last in PERIODS.values():
            self.ask(first, last)

    def ask(self, first: date, last: date) -> None:
        """Everything that there is about one period."""
        days = [day for day in DAYS if first <= day <= last]
        names = [partner.name for partner in self.partners]
        everyone, everything = range(len(self.partners)), range(len(self.assets))
        for asset in everything:
            self.note(everyone, [asset], days)
            for day in days:
                self.note(everyone, [asset], [day])
            path = f"/reports/content/{self.assets[asset].id}/partners.csv"
            for line in rows(self.browser.get(f"{path}{query(first, last)}")):
                if line["Dwell time (s)"]:
                    self.note([names.index(line["Partner"])], [asset], days)
        named = rows(self.browser.get(f"/reports/partners.csv{query(first, last)}"))
        shown = {line["Partner"] for line in named if line["Dwell time (s)"]}
        for number, partner in enumerate(self.partners):
            path = f"/reports/partners/{partner.id}"
            if partner.name in shown:
                self.note([number], everything, days)
            # No row of an asset or a day is a zero, where there is such a column at all.
            if "Dwell time" in self.heads(f"{path}/content", first, last):
                for asset in everything:
                    self.note([number], [asset], days)
            if "Dwell time" in self.heads(f"{path}/days", first, last):
                for day in days:
                    self.note([number], everything, [day])
            page = text_of(self.browser.get(f"{path}{query(first, last)}"))
            months = re.search(r"whole months: (.+? \d{4}) to (.+? \d{4})", page)
            if months:
                since, until = map(day_of, months.groups())
                self.note([number], everything, [day for day in DAYS if since <= day <= until])
            elif "Dwell time –" not in page:
                self.note([number], everything, days)

    def heads(self, path: str, first: date, last: date) -> str:
        """The names of the columns of a file."""
        text: str = self.browser.get(f"{path}.csv{query(first, last)}").text
        return text.splitlines()[0]

    def note(self, partners: Iterable[int], assets: Iterable[int], days: Iterable[date]) -> None:
        """One more sum is known."""
        there = set(product(partners, assets, days))
        rest = self.reduced([Fraction(cell in there) for cell in self.cells])
        if any(rest):
            lead = next(place for place, value in enumerate(rest) if value)
            self.known[lead] = [value / rest[lead] for value in rest]

    def reduced(self, row: list[Fraction]) -> list[Fraction]:
        """What is left of a row when everything known is taken out of it."""
        for lead in sorted(self.known):
            row = [a - row[lead] * b for a, b in zip(row, self.known[lead], strict=True)]
        return row

    def knows(self, wanted: list[Cell]) -> bool:
        """Whether the sum of some cells is a combination of what is known."""
        return not any(self.reduced([Fraction(cell in wanted) for cell in self.cells]))


def test_a_partner_of_few_people_is_never_the_only_one_left_out(
    app: Flask, now: None, browse: Browse
) -> None:
    asset = make_asset()
    partners = {n: partner_of(n, f"Of {n}") for n in (1, 4, 5, 6)}
    silent, _person = partner_of(3, "Silent, of 3")
    for n, (_partner, reader) in partners.items():
        reads(reader, asset, DAY, 1_000 * n)
    rebuild()
    found = rows(browse(anna()).get(f"/reports/partners.csv{query(DAY, DAY)}"))
    shown = {line["Partner"]: line["Views"] for line in found}
    # Leaving out a partner that read nothing as well would not help.
    assert shown == {"Of 1": "", "Of 4": "", "Of 5": "1", "Of 6": "1", "Silent, of 3": "0"}
    # And it is left out everywhere, not only where the other one is.
    page = browse(anna()).get(f"/reports/partners/{partners[4][0].id}/days.csv{query(DAY, DAY)}")
    assert "Views" not in rows(page)[0]
    assert silent.name in shown


def test_two_partners_of_one_person_are_not_enough_to_hide_behind(
    app: Flask, now: None, browse: Browse
) -> None:
    asset = make_asset()
    for n, name in ((1, "One"), (1, "Another"), (4, "Four")):
        reads(partner_of(n, name)[1], asset, DAY, 1_000)
    rebuild()
    found = rows(browse(anna()).get(f"/reports/partners.csv{query(DAY, DAY)}"))
    assert {line["Partner"]: line["Views"] for line in found} == dict.fromkeys(
        ("One", "Another", "Four"), ""
    )
    page = text_of(browse(anna()).get(f"/reports/partners{query(DAY, DAY)}"))
    assert "–: what 3 partners with few people read is shown for whole months only." in page


def test_who_only_read_has_no_row_beside_an_asset_and_no_place_in_a_ranking(
    app: Flask, now: None, browse: Browse
) -> None:
    asset = make_asset()
    for n, name in ((2, "Two"), (2, "Also two"), (5, "Five")):
        _partner, reader = partner_of(n, name)
        for hour in range(10, 10 + 3 * (n == 2) + 1):
            reads(reader, asset, DAY, 12_000, hour)
    rebuild()
    browser = browse(anna())
    found = rows(browser.get(f"/reports/content/{asset.id}/partners.csv{query(*APRIL)}"))
    assert [line["Partner"] for line in found] == ["Five"]
    ranked = rows(browser.get(f"/reports/partners.csv{query(DAY, DAY)}"))
    assert [(line["Partner"], line["Activities"]) for line in ranked] == [
        ("Five", "1"), ("Also two", ""), ("Two", ""),
    ]  # fmt: skip
    month = rows(browser.get(f"/reports/partners.csv{query(*APRIL)}"))
    assert [(line["Partner"], line["Activities"]) for line in month] == [
        ("Also two", "4"), ("Two", "4"), ("Five", "1"),
    ]  # fmt: skip


def test_what_was_read_alone_stays_hidden_when_colleagues_come(
    app: Flask, now: None, browse: Browse
) -> None:
    asset, partner = make_asset(), make_partner("Growing")
    alone = make_user(partner=partner, joined_at=datetime(2026, 3, 1, tzinfo=UTC))
    for _n in range(3):
        make_user(partner=partner, joined_at=datetime(2026, 4, 30, 9, tzinfo=UTC))
    reads(alone, asset, DAY, 12_000)
    reads(alone, asset, date(2026, 5, 5), 3_000)
    reads(partner_of(2, "Beside")[1], asset, DAY, 12_000)
    rebuild()
    browser, path = browse(anna()), f"/reports/partners/{partner.id}"
    assert rows(browser.get(f"{path}/content.csv{query(*APRIL)}")) == []
    page = browser.get(f"{path}{query(APRIL[0], NOW.date())}")
    # May can be shown in full, and one click leads there.
    assert "In full from 1 May 2026" in text_of(page)
    link = re.search(r'href="(\?from=2026-05-01[^"]+)"', page.text)
    assert link
    assert "1 of 4 people with access read something." in text_of(
        browser.get(path + link[1].replace("&amp;", "&"))
    )


def test_the_last_whole_month_waits_for_late_reports(app: Flask, now: None, browse: Browse) -> None:
    asset = make_asset()
    small = [partner_of(2, name)[0] for name in ("Two", "Also two")]
    for partner in small:
        person = db.session.query(User).filter_by(partner_id=partner.id).first()
        assert person
        reads(person, asset, DAY, 12_000)
    rebuild()
    path = f"/reports/partners/{small[0].id}{query(*APRIL)}"
    for moment, said in ((datetime(2026, 5, 2, 9, tzinfo=UTC), "–"), (NOW, "12 s")):
        with clock.at(moment):
            assert f"Dwell time {said}" in text_of(browse(anna()).get(path))


def test_content_for_one_small_partner_shows_what_was_done_on_purpose_only(
    app: Flask, now: None, browse: Browse
) -> None:
    (partner, reader), _beside = partner_of(2, "Two"), partner_of(2, "Also two")
    asset = make_asset("For them alone", audience=(("partner", str(partner.id)),))
    reads(reader, asset, DAY, 7_000)
    reads(_beside[1], make_asset("For all"), DAY, 12_000)
    rebuild()
    browser, path = browse(anna()), f"/reports/content/{asset.id}"
    found = rows(browser.get(f"/reports/content.csv{query(*APRIL)}"))
    assert {line["Content"]: line["Views"] for line in found} == {"For all": "1"}
    browse(reader).get(f"/library/files/{version_of(asset).id}")
    rebuild()
    found = rows(browser.get(f"/reports/content.csv{query(APRIL[0], NOW.date())}"))
    assert [(line["Content"], line["Views"], line["Downloads"]) for line in found] == [
        ("For all", "1", "0"), ("For them alone", "", "1"),
    ]  # fmt: skip
    page = browser.get(f"{path}{query(*APRIL)}")
    assert "it is for partners with few people" in text_of(page)
    assert "data-chart" not in page.text
    assert "<meter" not in page.text
    assert browser.get(f"{path}/chart.json{query(*APRIL)}").json["data"]["values"] == []  # type: ignore[index]
    assert "Views" not in rows(browser.get(f"{path}/days.csv{query(*APRIL)}"))[0]
    for name in ("pages", "partners"):
        assert rows(browser.get(f"{path}/{name}.csv{query(*APRIL)}")) == []


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6))
def test_times_with_few_people_are_those_found_by_looking_at_every_day(
    people: list[tuple[int, int]],
) -> None:
    begin = date(2026, 3, 20)
    terms = [(begin + timedelta(days=a), begin + timedelta(days=max(a, b))) for a, b in people]
    found = {
        begin + timedelta(days=n): few
        for n in range(60)
        for first, last, few in spans_of_few(terms)
        if first <= begin + timedelta(days=n) <= last
    }
    counts = {
        day: sum(a <= day <= b for a, b in terms)
        for day in (begin + timedelta(days=n) for n in range(60))
    }
    assert found == {day: n for day, n in counts.items() if 0 < n < MIN_PEOPLE}


def test_partners_with_enough_people_all_the_time_are_not_looked_at(app: Flask, now: None) -> None:
    many, _person = partner_of(3, "Three")
    fewer, _person = partner_of(2, "Two")
    found = accesses(db.session(), NOW - timedelta(days=30), NOW, 3)
    assert (many.id in found, fewer.id in found) == (False, True)
    with write() as session:
        session.query(User).filter_by(partner_id=many.id).first().deactivated_at = NOW - ONE_DAY  # type: ignore[union-attr]
    assert many.id in accesses(db.session(), NOW - timedelta(days=30), NOW, 3)


def test_areas_of_a_small_partner_are_not_shown(app: Flask, now: None, browse: Browse) -> None:
    with clock.at(datetime(2026, 4, 14, 10, tzinfo=UTC)):
        post(area_token(area="deals"), row(slot_now(), active=9_000), activated=clock.now_ms())
    rebuild()
    path = f"/reports/partners/{kuehn().id}/areas"
    assert rows(browse(anna()).get(f"{path}.csv{query(*APRIL)}")) == []
    assert "whole months only" in text_of(browse(anna()).get(f"{path}{query(*APRIL)}"))


# --- numbers of people --------------------------------------------------------------------------


def test_never_more_people_are_said_to_read_than_could(
    app: Flask, now: None, browse: Browse
) -> None:
    asset, (partner, reader) = make_asset(), partner_of(3, "Three")
    reads(reader, asset, DAY, 12_000)
    for _time in range(3):
        browse(reader).post("/account/recorded/erase", data={"sure": "1"})
        reads(reader, asset, DAY + ONE_DAY, 3_000)
    rebuild()
    page = text_of(browse(anna()).get(f"/reports/partners/{partner.id}{query(*APRIL)}"))
    assert "3 of 3 people with access read something." in page


# --- where people are named ---------------------------------------------------------------------


def named(browse: Browse, partner: Partner, first: date, last: date) -> dict[str, str]:
    path = f"/reports/partners/{partner.id}/people.csv{query(first, last)}"
    return {line["Person"]: line["Views"] for line in rows(browse(anna()).get(path))}


def named_readers() -> tuple[Partner, list[User]]:
    """Three who read once each on the day, in a country where people are named."""
    set_mode(PrivacyMode.person)
    asset, partner = make_asset(), make_partner("Named AG")
    people = [make_user(name, partner=partner) for name in ("First", "Second", "Third")]
    for person in people:
        reads(person, asset, DAY, 12_000)
    return partner, people


@pytest.mark.parametrize("way", ["erased", "left"])
def test_names_do_not_leave_the_reading_of_who_erased_or_left(
    app: Flask, now: None, browse: Browse, way: str
) -> None:
    partner, (_first, _second, third) = named_readers()
    rebuild()
    assert named(browse, partner, *APRIL) == {"First": "1", "Second": "1", "Third": "1"}
    if way == "erased":
        browse(third).post("/account/recorded/erase", data={"sure": "1"})
    else:
        with write() as session:
            session.get_one(User, third.id).deactivated_at = clock.now()
    rebuild()
    for period in PERIODS.values():
        found = named(browse, partner, *period)
        # Neither by a zero nor by what the others leave: a colleague is always with them.
        assert set(found) == {"Second", "2 others, who are not named"}
    assert named(browse, partner, DAY, DAY)["2 others, who are not named"] == "2"


def test_who_erased_is_named_again_for_what_they_read_later(
    app: Flask, now: None, browse: Browse
) -> None:
    partner, (_first, _second, third) = named_readers()
    browse(third).post("/account/recorded/erase", data={"sure": "1"})
    tomorrow = NOW.date() + ONE_DAY
    reads(third, make_asset("Another"), tomorrow, 12_000)
    rebuild()
    with clock.at(NOW + timedelta(days=3)):
        found = named(browse, partner, tomorrow, tomorrow)
    assert found == {"First": "0", "Second": "0", "Third": "1"}


def test_people_are_counted_on_the_day_on_which_they_looked(
    app: Flask, now: None, browse: Browse
) -> None:
    set_mode(PrivacyMode.person)
    asset, partner = make_asset(), make_partner("Named AG")
    person = make_user("Late", partner=partner)
    with clock.at(datetime(2026, 4, 14, 21, 50, tzinfo=UTC)) as forward:
        token = token_of(person, asset)
        # A program that follows them is not them.
        program, slot = token_of(person, make_asset("Scanned")), row(slot_now(), active=9_000)
        post(program, slot, activated=clock.now_ms(), agent="HeadlessChrome/142")
        forward(timedelta(minutes=20))
        post(token, row(slot_now(), active=9_000), activated=clock.now_ms())
    rebuild()
    assert named(browse, partner, DAY, DAY) == {"Late": "0"}
    assert named(browse, partner, DAY + ONE_DAY, DAY + ONE_DAY) == {"Late": "1"}


# --- the partner's own people -------------------------------------------------------------------


def test_a_partner_admin_finds_nothing_of_what_a_colleague_read(app: Flask, browse: Browse) -> None:
    asset = make_asset("Read by Lena alone")
    with clock.at(clock.now() - timedelta(hours=2)):
        post(token_of(lena(), asset), row(slot_now(), active=13_000), activated=clock.now_ms())
    rebuild()
    browser = browse(jonas())
    asked = 0
    for rule in app.url_map.iter_rules():
        if "GET" not in (rule.methods or ()) or rule.endpoint == "static" or rule.arguments:
            continue
        answer = browser.get(rule.rule)
        asked += 1
        if "text" in (answer.content_type or "") and rule.endpoint != "reports.vega":
            # The title may be there, as everybody sees it in the library; not that it was read.
            assert "13 s" not in text_of(answer), rule.rule
            assert str(lena().id) not in answer.text or rule.rule == "/people"
    assert asked > 15
    for path in (
        f"/reports/partners/{kuehn().id}", f"/reports/partners/{kuehn().id}/people",
        f"/reports/content/{asset.id}", f"/reports/content/{asset.id}/days.csv",
    ):  # fmt: skip
        assert browser.get(path).status_code == 404
