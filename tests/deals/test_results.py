"""What became of deals: worked by hand, and on the page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal import clock
from portal.db import db, new_id
from portal.deals import contacts, metrics
from portal.deals.conflicts import keys_of
from portal.deals.facts import DealFacts, LeadFacts, with_history, with_leads
from portal.deals.pipeline import Stage, Status
from portal.deals.results import CYCLE_DAYS, Results, as_json
from portal.deals.revenue import by_currency
from portal.estimates import Outcome, Share, happened_by, survival
from portal.reports.stops import Step, page_stops, steps
from tests.conftest import Browse
from tests.deals.test_deals import approve, claim, look_for_conflicts, register
from tests.deals.test_import import bring_in_app
from tests.factories import make_family
from tests.pages import text_of
from tests.people import anna, kuehn, lena
from tracking.metrics import ReadUpTo

KUEHN, BRANDT, PUMPS, VALVES = (new_id() for _n in range(4))
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


def test_a_period_that_is_over_says_the_same_whatever_happens_later() -> None:
    begun: dict[str, Any] = {"first_contact": MARCH, "submitted": date(2026, 3, 2), "waited": 9.0}
    early: dict[str, Any] = {**begun, "decided": date(2026, 3, 9)}
    # As it was on the last day of March: one waits, one is approved.
    then = [deal("submitted", None, **begun), deal(**early)]
    # What may come of the first, and of the second, from the first of April on.
    waiting = [
        deal("withdrawn", None, **begun, left=APRIL),
        deal("expired", None, **begun, left=APRIL),
        deal("rejected", None, **begun, decided=APRIL),
        deal(**begun, decided=APRIL),
        won(MAY, MAY)._replace(**begun, decided=APRIL),
    ]
    approved = [
        deal("expired", **early, left=APRIL),
        deal("revoked", **early, left=MAY),
        deal("closed", "lost", **early, lost=MAY),
        won(MAY, MAY)._replace(**early),
    ]
    expected = Results(MARCH, APRIL, then)
    assert (len(expected.undecided), len(expected.open), len(expected.withdrawn)) == (1, 1, 0)
    for one in waiting:
        for other in approved:
            found = Results(MARCH, APRIL, [one, other])
            assert (len(found.undecided), len(found.open), len(found.withdrawn)) == (1, 1, 0)
            assert found.decision_hours == expected.decision_hours
            assert found.durations == expected.durations == [(31, Outcome.open)]
            assert found.registered_durations == [(31, Outcome.open)]


def test_what_was_given_up_is_counted_beside_and_lasted_at_least_so_long() -> None:
    begun: dict[str, Any] = {"first_contact": MARCH, "submitted": date(2026, 3, 2), "waited": 9.0}
    day = date(2026, 3, 21)
    deals = [
        deal("withdrawn", None, **begun, left=day),
        deal("expired", None, **begun, left=day),
        deal("revoked", **begun, decided=date(2026, 3, 9), left=day),
        deal(submitted=MARCH, decided=day),
    ]
    found = as_json(Results(MARCH, APRIL, deals))
    assert (found["withdrawn_undecided"], found["undecided"], found["open"]) == (2, 0, 1)
    assert (found["n"]["decision_hours_median"], found["decisions_not_measured"]) == (1, 1)
    # Revoked after 20 days: nobody knows whether it would have been won.
    assert Results(MARCH, APRIL, deals).durations == [(20, Outcome.open)]


def test_a_contact_of_the_vendor_is_that_of_surely_the_same_company() -> None:
    known = contacts.Contact
    index = contacts.index([
        known(keys_of("Hafen GmbH", country="DE", postcode="26721"), APRIL),
        known(keys_of("Hafen AG", "hafen.example", country="DE"), MARCH),
        known(keys_of("Werft", tax_id="DE123456789"), MAY),
    ])  # fmt: skip

    def since(*names: str, **more: str) -> date | None:
        return contacts.first_of(keys_of(*names, **more), index)

    assert since("Hafen", country="DE", postcode="26721") == MARCH
    assert since("Hafen", country="DE", postcode="26721", domain="other.example") == APRIL
    assert since("Hafen", country="NL") is None
    assert since("Yard", tax_id="DE 123 456 789") == MAY
    for approved, contact, told in (
        (MARCH, APRIL, True), (APRIL, APRIL, False), (APRIL, None, True), (None, None, None),
    ):  # fmt: skip
        assert contacts.sourced(approved, True, contact) is told
    assert contacts.sourced(MARCH, False, None) is None


def test_pages_where_reading_stopped_are_told_by_document_most_first() -> None:
    a, b = new_id(), new_id()
    read = [ReadUpTo(new_id(), *one) for one in ((a, 2, 5), (b, 0, 3), (a, 2, 5), (a, 5, 5))]
    assert [stop[1:] for stop in page_stops(read)] == [(2, 5, 2, 3), (5, 5, 1, 3), (0, 3, 1, 1)]


def test_leads_and_deals_without_one_make_the_close_rate_and_young_ones_mature() -> None:
    of_lead = won(date(2026, 1, 5), date(2026, 3, 20), decided=date(2026, 2, 1))
    alone = deal(decided=date(2026, 3, 2))
    lead = LeadFacts(new_id(), KUEHN, PUMPS, date(2026, 1, 2), date(2026, 3, 1), of_lead.id, True)
    idle = lead._replace(id=new_id(), deal_id=None)
    found = Results(MARCH, APRIL, with_leads([of_lead, alone], [lead, idle]), [lead, idle])
    # Two leads and the deal that came without one; the deal of the lead is no second one.
    assert len(found.qualified) == 3
    assert found.close_rate_headline == pytest.approx(1 / 3)
    assert (found.close_rate_cohort.whole, found.maturing) == (0, 3)
    # The 180th day of the leads is 28 August, that of the deal the day after.
    for today, told, maturing in (
        (date(2026, 8, 28), Share(0, 0), 3),
        (date(2026, 8, 29), Share(1, 2), 1),
        (date(2026, 8, 30), Share(1, 3), 0),
    ):
        later = replace(found, today=today)
        assert (later.close_rate_cohort, later.maturing) == (told, maturing)


def test_a_period_that_is_over_ripens_and_then_says_the_same() -> None:
    """The 180 days end after a period of three months does; a win counts up to the 180th."""
    approved: dict[str, Any] = {"decided": MARCH}
    deals = [
        won(MARCH, date(2026, 8, 28), **approved),
        won(MARCH, date(2026, 8, 29), **approved),
        deal(**approved),
    ]
    before = Results(MARCH, APRIL, deals, today=date(2026, 8, 28))
    assert (before.close_rate_cohort, before.maturing) == (Share(0, 0), 3)
    for today in (date(2026, 8, 29), date(2030, 1, 1)):
        found = Results(MARCH, APRIL, deals, today=today)
        assert (found.close_rate_cohort, found.maturing) == (Share(1, 3), 0)
        # So do the parts of it.
        for part in (
            found.of_family(PUMPS),
            found.of_partners({KUEHN}),
            found.by_partner()[KUEHN],
            found.within(MARCH, date(2026, 3, 2)),
        ):
            assert part.close_rate_cohort == Share(1, 3)


def test_first_contact_is_when_the_lead_came() -> None:
    of_lead = won(date(2026, 1, 5), date(2026, 3, 20), decided=date(2026, 2, 1))
    lead = LeadFacts(new_id(), KUEHN, PUMPS, date(2026, 1, 2), date(2026, 3, 1), of_lead.id, True)
    found = Results(MARCH, APRIL, with_leads([of_lead], [lead]), [lead])
    # And a lead of the vendor's is not the partner's own deal.
    assert found.deals[0].first_contact == date(2026, 1, 2)
    assert found.deals[0].sourced is False


def test_a_second_deal_of_one_lead_is_no_second_sales_ready_lead() -> None:
    first, second = deal(decided=date(2026, 3, 2)), deal(decided=date(2026, 3, 3))
    keys = frozenset((first.id, second.id))
    lead = LeadFacts(new_id(), KUEHN, PUMPS, MARCH, date(2026, 3, 1), first.id, True, keys)
    found = Results(MARCH, APRIL, with_leads([first, second], [lead]), [lead])
    assert len(found.qualified) == 1
    assert [row.sourced for row in found.deals] == [False, False]


def test_registrations_have_a_close_rate_and_a_cycle_of_their_own() -> None:
    here: dict[str, Any] = {"submitted": date(2026, 3, 5)}
    deals = [
        won(date(2026, 3, 1), date(2026, 3, 11), **here),
        deal("closed", "lost", first_contact=MARCH, lost=date(2026, 3, 20), **here),
        # Won after the period: still open in it.
        won(date(2026, 3, 1), date(2026, 4, 11), **here),
        deal("rejected", None, **here),
        won(date(2026, 2, 1), date(2026, 3, 11), submitted=date(2026, 2, 2)),
    ]
    found = Results(MARCH, APRIL, deals)
    assert found.registered_close_rate == Share(1, 2)
    assert found.registered_cycle_days == [10]
    assert sorted(found.registered_durations) == [
        (10, Outcome.happened), (19, Outcome.otherwise), (31, Outcome.open),
    ]  # fmt: skip
    assert found.close_rate_closed == Share(2, 3)


def test_new_business_is_of_a_quiet_partner_or_for_a_customer_new_to_it() -> None:
    brandt, a, b = new_id(), new_id(), new_id()

    def registered(day: date, partner: Any, customer: Any, name: str = "") -> DealFacts:
        return deal(submitted=day, partner_id=partner, customer_id=customer, customer_key=name)

    deals = [
        registered(date(2024, 3, 1), KUEHN, a),
        registered(date(2025, 3, 5), KUEHN, a),  # 12 months and 4 days of quiet
        registered(date(2026, 3, 5), KUEHN, a),  # exactly 12 months: not quiet, not new
        registered(date(2026, 3, 6), KUEHN, b),  # a new customer
        registered(date(2026, 3, 7), KUEHN, None, "löwe"),  # not linked yet, new by its name
        registered(date(2026, 3, 8), KUEHN, None, "löwe"),
        registered(date(2026, 3, 9), KUEHN, None),  # nobody knows whose it is
        registered(date(2026, 3, 9), brandt, a),  # new to this partner
    ]
    told = with_history(deals)
    assert [one.new_business for one in told] == [True, True, False, True, True, False, False, True]
    assert Results(MARCH, APRIL, told).new_business == Share(3, 6)
    # A deal that was imported before is a customer served, and no registration.
    before = deal(first_contact=date(2026, 1, 1), customer_id=b, is_imported=True)
    assert with_history([before, *deals])[4].new_business is False
    assert with_history([before])[0].new_business is None


def test_upsell_and_cross_sell_are_told_by_earlier_wins_where_nobody_states_them() -> None:
    valves, a, b, c = new_id(), new_id(), new_id(), new_id()

    def order(day: date, customer: Any, amount: int, family: Any = PUMPS, **more: Any) -> DealFacts:
        return won(day, day, amount, customer_id=customer, family_id=family, **more)

    old = [order(date(2026, 1, 5), customer, 100) for customer in (a, b)]
    here = [
        order(date(2026, 3, 1), a, 150),  # more: upsell
        order(date(2026, 3, 2), a, 150),  # as much: renewal
        order(date(2026, 3, 3), a, 900, kind="renewal"),  # stated, so it is
        order(date(2026, 3, 4), b, 50, valves),  # another family
        order(date(2026, 3, 5), c, 50),  # new
        order(date(2026, 3, 6), c, 60, kind="upsell"),  # no customer before the period
        deal("closed", "lost", lost=date(2026, 3, 9), first_contact=MARCH, customer_id=b,
             family_id=PUMPS, expected_minor=120, expected_currency="EUR"),
    ]  # fmt: skip
    told = with_history([*old, *here])
    assert [one.kind for one in told] == [
        "new", "new", "upsell", "renewal", "renewal", "cross_sell", "new", "upsell", "upsell",
    ]  # fmt: skip
    found = Results(MARCH, APRIL, told)
    assert found.customers_with("upsell") == Share(1, 2)
    assert found.customers_with("cross_sell") == Share(1, 2)
    assert found.conversion_of("upsell") == Share(2, 3)
    assert found.conversion_of("upsell", "cross_sell") == Share(3, 4)
    # Of one family: who has ordered anything before could buy it.
    assert found.of_family(valves).customers_with("cross_sell") == Share(1, 2)
    assert found.of_family(valves).customers_with("upsell") == Share(0, 2)


def test_revenue_is_told_by_partner_and_how_much_of_it_comes_from_few() -> None:
    partners = [new_id() for _n in range(6)]
    wins = [
        won(MARCH, date(2026, 3, 9), 1000 * n, partner_id=partner, submitted=MARCH, sourced=n > 5)
        for n, partner in enumerate(partners, 1)
    ]
    wins += [
        won(MARCH, date(2026, 3, 9), 500, "CHF", partner_id=partners[0]),
        won(MARCH, date(2026, 3, 9), 3000, partner_id=partners[0]),
    ]
    found = by_currency(Results(MARCH, APRIL, wins), 12, {wins[0].id, wins[1].id})
    euros = found["EUR"]
    assert list(found) == ["CHF", "EUR"]
    assert (euros.total, euros.orders, euros.partners) == (24_000, 7, 6)
    assert euros.per_partner == pytest.approx(24_000 / 12 / 31 * 30)
    assert (euros.order_median, euros.partner_median) == (3000, 4000)
    # A fifth of six, rounded up: the best two, with 6 000 and 5 000.
    assert (euros.top, euros.top_fifth) == (2, 11_000)
    assert (euros.sourced, euros.sourced_unknown) == (6000, 3000)
    assert (euros.assisted, euros.assisted_unknown) == (3000, 3000)
    assert by_currency(Results(MARCH, APRIL, wins), 0, ())["CHF"].per_partner is None


def test_where_they_stop_adds_up_to_all() -> None:
    way = [("viewed", {1, 2, 9}), ("shared", {2}), ("won", {3})]
    assert steps({1, 2, 3, 4}, way) == [
        Step("", 4, 1), Step("viewed", 3, 1), Step("shared", 2, 1), Step("won", 1, 1),
    ]  # fmt: skip


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
        partner_id=st.sampled_from([KUEHN, BRANDT]), family_id=st.sampled_from([PUMPS, VALVES]),
        customer_id=st.sampled_from([None, KUEHN]),
        loss_reason=st.sampled_from([None, "price", "other"]),
    ),
    max_size=20,
)  # fmt: skip


OTHER_WAY = {
    Outcome.open: Outcome.open,
    Outcome.happened: Outcome.otherwise,
    Outcome.otherwise: Outcome.happened,
}


@given(DEALS)
def test_parts_add_up_to_the_whole(deals: list[DealFacts]) -> None:
    whole = Results(date(2026, 2, 1), date(2026, 5, 1), with_history(deals))
    by_partner = list(whole.by_partner().values())
    by_family = [whole.of_family(key) for key in (PUMPS, VALVES)]
    for parts in (by_partner, by_family):
        for name in ("won", "lost", "open", "registrations", "decisions", "qualified", "durations"):
            assert sum(len(getattr(part, name)) for part in parts) == len(getattr(whole, name))
        for code, minor in whole.revenue.items():
            assert minor == sum(part.revenue.get(code, 0) for part in parts)
        for share in ("new_business", "close_rate_closed", "approval_rate"):
            assert getattr(whole, share).part == sum(getattr(part, share).part for part in parts)
    for part in by_partner:
        assert whole.of_partners({part.deals[0].partner_id}) == part


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
    assert sum(whole.losses.values()) == len(whole.lost)
    # By any day, the won, the lost and those still open are all of them.
    for days in CYCLE_DAYS if whole.durations else ():
        either = [(lasted, min(outcome, Outcome.happened)) for lasted, outcome in whole.durations]
        still = [share for lasted, share in survival(either) if lasted <= days]
        lost_by = happened_by(
            [(lasted, OTHER_WAY[outcome]) for lasted, outcome in whole.durations], days
        )
        parts = (whole.won_by(days), lost_by, still[-1] if still else 1.0)
        assert sum(part or 0 for part in parts) == pytest.approx(1)
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
    assert "an interval needs 18 more closed deals" in page
    assert "€ 12 400" in page
    by_partner = manager.get(f"/reports/results/results-partners.csv{period}").text
    assert "Kühn Technik,1,1 of 1,1 of 2" in by_partner
    assert manager.get("/reports/results/nonsense.csv").status_code == 404
    assert browse(lena()).get("/reports/results").status_code == 404
