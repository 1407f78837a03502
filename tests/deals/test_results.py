"""What became of deals: worked by hand, and on the page."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal import clock
from portal.db import db, new_id
from portal.deals import metrics
from portal.deals.pipeline import Stage, Status
from portal.deals.results import DealFacts, Results, as_json
from portal.estimates import Outcome
from tests.conftest import Browse
from tests.deals.test_deals import approve, claim, look_for_conflicts, register
from tests.deals.test_import import bring_in_app
from tests.factories import make_family
from tests.pages import text_of
from tests.people import anna, kuehn, lena

KUEHN, PUMPS = new_id(), new_id()
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def deal(status: str = "approved", stage: str | None = "qualified", **more: Any) -> DealFacts:
    """A deal with nothing known of it but what is said."""
    nothing = dict.fromkeys(DealFacts._fields)
    usual = {"id": new_id(), "partner_id": KUEHN, "family_id": PUMPS, "is_imported": False}
    return DealFacts(**{**nothing, **usual, "status": status, "stage": stage, **more})


def won(first: date, on: date, amount: int = 100, currency: str = "EUR", **more: Any) -> DealFacts:
    """A deal that was won."""
    return deal(
        "closed", "won", first_contact=first, won=on, amount_minor=amount, currency=currency, **more
    )


def lost(first: date, on: date) -> DealFacts:
    """A deal that was lost."""
    return deal("closed", "lost", first_contact=first, lost=on)


MARCH, APRIL, MAY = date(2026, 3, 1), date(2026, 4, 1), date(2026, 5, 1)


def test_wins_count_in_the_period_in_which_they_were_won_once_confirmed() -> None:
    reported = deal("approved", "won", won=date(2026, 3, 5), amount_minor=900, currency="EUR")
    deals = [
        won(date(2026, 1, 1), date(2026, 2, 28)),
        won(date(2026, 1, 1), MARCH, 500),
        won(date(2026, 1, 1), date(2026, 3, 31), 700, "CHF"),
        won(date(2026, 1, 1), APRIL),
        reported,
    ]
    found = Results(MARCH, APRIL, deals)
    assert len(found.won) == 2
    assert found.revenue == {"CHF": 700, "EUR": 500}
    # Won later, and reported only: both were open when March ended.
    assert len(found.open) == 2


def test_what_ended_later_was_open_in_a_period_that_is_over() -> None:
    found = Results(MARCH, APRIL, [lost(date(2026, 3, 2), APRIL), deal(), lost(MAY, MAY)])
    assert (len(found.open), len(found.lost), found.open_without_day) == (2, 0, 1)


def test_a_deal_still_open_makes_the_median_longer_than_the_mean_of_the_wins() -> None:
    # The worked answer with a competing outcome: won, lost, won, open, won.
    first = MARCH
    deals = [
        won(first, date(2026, 3, 2)),
        lost(first, date(2026, 3, 3)),
        won(first, date(2026, 3, 4)),
        deal(first_contact=date(2026, 3, 28)),
        won(first, date(2026, 3, 6)),
    ]
    found = Results(MARCH, APRIL, deals)
    assert sorted(found.durations)[-1] == (5, Outcome.happened)
    assert (4, Outcome.open) in found.durations
    assert found.won_by(5) == pytest.approx(0.8)
    assert found.cycle_mean == pytest.approx(3.0)
    assert found.cycle_median == 5


def test_close_rates_say_what_they_are_made_of() -> None:
    approved = [deal(decided=date(2025, 9, n)) for n in range(1, 4)]
    early = won(date(2025, 8, 1), date(2025, 10, 1), decided=date(2025, 9, 1))
    late = won(date(2025, 8, 1), date(2026, 3, 20), decided=date(2025, 9, 1))
    imported = deal(first_contact=date(2025, 9, 9), is_imported=True)
    young = deal(decided=date(2026, 3, 1))
    found = Results(date(2025, 9, 1), APRIL, [*approved, early, late, imported, young])
    assert len(found.qualified) == 7
    assert found.close_rate_headline == pytest.approx(2 / 7)
    # Of the six that are old enough one was won within 180 days.
    assert (found.close_rate_cohort.part, found.close_rate_cohort.whole) == (1, 6)
    assert (found.close_rate_closed.part, found.close_rate_closed.whole) == (2, 2)


def test_decisions_count_by_their_day_and_in_time_by_their_promise() -> None:
    due = datetime(2026, 3, 10, 14, tzinfo=UTC)
    deals = [
        deal("rejected", None, decided=NOON.date(), decided_at=NOON, due_at=due),
        deal(decided=NOON.date(), decided_at=due, due_at=due),
        deal("expired", decided=NOON.date(), decided_at=due, due_at=NOON),
        deal("withdrawn", None, submitted=NOON.date()),
        deal("submitted", None, submitted=NOON.date(), due_at=due),
    ]
    found = Results(MARCH, APRIL, deals)
    assert (found.approval_rate.part, found.approval_rate.whole) == (2, 3)
    assert (found.decided_in_time.part, found.decided_in_time.whole) == (2, 3)
    assert len(found.registrations) == 2


def test_waiting_registrations_make_the_time_to_decide_longer() -> None:
    decided = [
        deal(submitted=MARCH, decided=NOON.date(), decided_at=NOON, waited=hours)
        for hours in (2.0, 4.0)
    ]
    waiting = [deal("in_review", None, submitted=MARCH, waited=hours) for hours in (3.0, 30.0)]
    withdrawn = deal("withdrawn", None, submitted=MARCH, waited=1.0)
    found = as_json(Results(MARCH, APRIL, [*decided, *waiting, withdrawn]))
    assert (found["decision_hours_median"], found["n"]["decision_hours_median"]) == (4.0, 4)
    assert found["decision_hours_p90"] is None


def test_time_to_decide_is_counted_in_business_hours_without_the_partners_turn(
    browse: Browse,
) -> None:
    with clock.at(datetime(2026, 11, 17, 13, tzinfo=UTC)) as forward:
        key = register(browse, lena())
        browse(anna()).post(f"/deals/{key}/move/take_in_review")
        forward(timedelta(hours=1))
        browse(anna()).post(f"/deals/{key}/ask", data={"sentence": "Who?"})
        forward(timedelta(days=1))
        browse(lena()).post(f"/deals/{key}/edit", data=claim())
        look_for_conflicts()
        forward(timedelta(hours=1))
        browse(anna()).post(f"/deals/{key}/approve", data={"customer": "new"})
        zone = ZoneInfo("Europe/Berlin")
        found = metrics.results(db.session(), date(2026, 11, 1), date(2026, 12, 1), zone)
        assert found.decision_hours == [(2.0, Outcome.happened)]


DAYS = st.one_of(st.none(), st.dates(date(2026, 1, 1), date(2026, 6, 30)))
DEALS = st.lists(
    st.builds(
        deal,
        st.sampled_from([status.value for status in Status if status != Status.draft]),
        st.sampled_from([None, *(stage.value for stage in Stage)]),
        first_contact=DAYS, submitted=DAYS, decided=DAYS, won=DAYS, lost=DAYS,
        amount_minor=st.integers(0, 10**9), currency=st.sampled_from(["EUR", "CHF"]),
    ),
    max_size=20,
)  # fmt: skip


@given(DEALS, st.dates(date(2026, 1, 2), date(2026, 6, 29)))
def test_periods_that_follow_each_other_add_up(deals: list[DealFacts], cut: date) -> None:
    begin, end = date(2026, 1, 1), date(2026, 7, 1)
    whole, first, second = (
        Results(*span, deals) for span in ((begin, end), (begin, cut), (cut, end))
    )
    for name in ("won", "lost", "registrations", "decisions", "qualified"):
        assert len(getattr(whole, name)) == len(getattr(first, name)) + len(getattr(second, name))
    for code, minor in whole.revenue.items():
        assert minor == first.revenue.get(code, 0) + second.revenue.get(code, 0)
    values = as_json(whole)
    for name, interval in values["intervals"].items():
        assert interval is None or 0 <= interval[0] <= values[name] <= interval[1] <= 1


def test_the_page_shows_what_became_of_deals_with_its_n(browse: Browse) -> None:
    kuehn()
    make_family("Pumps")
    bring_in_app(browse)
    approve(browse, register(browse, lena()))
    manager, period = browse(anna()), "?from=2026-01-01&to=2026-12-31"
    page = text_of(manager.get(f"/reports/results{period}"))
    assert "Won, confirmed by us 1" in page
    assert "50% · 1 of 2" in page
    assert "an interval needs 18 more deals" in page
    assert "€ 12 400" in page
    by_partner = manager.get(f"/reports/results/results-partners.csv{period}").text
    assert "Kühn Technik,1,1 of 2" in by_partner
    assert manager.get("/reports/results/nonsense.csv").status_code == 404
    assert browse(lena()).get("/reports/results").status_code == 404
