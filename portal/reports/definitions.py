"""What every printed number means, in words for whoever has to defend it.

Tables (`Column.anchor`) and cards name the definition they stand for; their pages link to it. A
number that is counted in another way than before gets the next `version`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flask_babel import gettext as _

from portal.errors import N_
from tracking.dwell import IdleRule


@dataclass(frozen=True)
class Definition:
    """One number: where it stands on the page, what it is called, what it counts, and in what."""

    anchor: str
    name: str
    text: str
    unit: str
    version: int = 1


COUNT, TIME, SHARE = N_("a count"), N_("hours, minutes and seconds"), N_("so many of so many")

READING = (
    Definition(
        "views",
        N_("Views"),
        N_(
            "How often people at partners read a piece of content. Opening it again within 30 "
            "seconds of reading is the same view. A view counts when the page was visible for 2 "
            "seconds or was touched, on that day. Your own reading counts nowhere, and neither do "
            "programs that only fetch a page."
        ),
        COUNT,
    ),
    Definition(
        "dwell",
        N_("Dwell time"),
        N_(
            "How long content was in front of somebody at a partner: the page in front, and input "
            "(a key, the mouse, a touch, scrolling) at most 30 seconds ago. Nobody can read longer "
            "than time passes: several windows or devices of one person count once. It is at least "
            "the time with input in the last 5 seconds, and at most that with idle time (longer "
            "than 30 seconds without input) added. Which of the three counts can be chosen on the "
            "page; the usual rule is the one in the middle."
        ),
        TIME,
    ),
    Definition(
        "usual_rule",
        N_("By the usual rule"),
        N_(
            "Medians, readers of a page, pages read, views of 10 seconds and more, and activities "
            "are counted once, with input at most 30 seconds ago. They stay the same when another "
            "rule for dwell time is chosen, and say so then."
        ),
        N_("in use and reading"),
    ),
    Definition(
        "median",
        N_("Median dwell"),
        N_(
            "Half of the partners' views were shorter than this, half longer. In whole seconds, by "
            "the usual rule."
        ),
        TIME,
    ),
    Definition(
        "engaged",
        N_("Views of 10 seconds and more"),
        N_("Views with at least 10 seconds of dwell time, by the usual rule."),
        COUNT,
    ),
    Definition(
        "page_dwell",
        N_("Where they look"),
        N_("The dwell time of partners and customers, page by page. The pages add up to the view."),
        TIME,
    ),
    Definition(
        "readers",
        N_("Readers of a page"),
        N_(
            "Views in which the page was read for at least 2 seconds, by the usual rule. Readers "
            "leave on a page when many of them do not read the next one: looked for are pages with "
            "at least 10 readers, of whom a quarter and more do not go on, among the 20 pieces "
            "that are read most. Missing only the last page does not count as leaving."
        ),
        COUNT,
    ),
    Definition(
        "pages_read",
        N_("Pages read"),
        N_(
            "On how many of its pages a view spent at least 2 seconds, on average, by the usual "
            "rule."
        ),
        N_("pages of all pages"),
    ),
    Definition(
        "measured",
        N_("Measured to the end"),
        N_(
            "Views and opens whose last report has arrived, of all. Of each of the others up to 15 "
            "seconds may be missing at the end, more where the network was away: never too much "
            "is counted, at most too little."
        ),
        SHARE,
    ),
    Definition(
        "played",
        N_("Played"),
        N_(
            "Of a recording: how many page loads played it; how many different seconds of it they "
            "saw, so that watching a part again adds nothing; how many saw nine tenths and more; "
            "and how long it ran in all, repetitions included."
        ),
        N_("loads; time"),
    ),
    Definition(
        "people",
        N_("People"),
        N_(
            "Different people at partners with at least one view. Not counted where the privacy "
            "mode of a country keeps reading by organisation only."
        ),
        COUNT,
    ),
    Definition("partners", N_("Partners"), N_("Different partners with at least one view."), COUNT),
)
ACTS = (
    Definition(
        "downloads",
        N_("Downloads"),
        N_(
            "Files that people at partners asked for. One download, however many parts the browser "
            "fetches it in; programs that only look whether it is there count nothing."
        ),
        COUNT,
    ),
    Definition(
        "downloads_completed",
        N_("Complete, broken off, not observed"),
        N_(
            "Complete: every byte of the file was sent. Broken off: it started and some are "
            "missing. Not observed: it was asked for and no byte left, or the portal did not see "
            "it leave."
        ),
        COUNT,
    ),
    Definition(
        "shares",
        N_("Shares"),
        N_("Links that partners made for customers. A link to three pieces counts once for each."),
        COUNT,
    ),
    Definition(
        "opens",
        N_("Opens"),
        N_(
            "Views by customers who followed a link of a partner, counted like views: a person was "
            "there. Fetching the link, as mail scanners do, is none. Whom it was made for stays "
            "with the partner."
        ),
        COUNT,
    ),
    Definition(
        "customer_dwell",
        N_("Read by customers"),
        N_("The dwell time of customers on shared content, counted like that of partners."),
        TIME,
    ),
    Definition(
        "likes", N_("Likes"), N_("Likes given in the period, those taken back included."), COUNT
    ),
    Definition(
        "activities",
        N_("Activities"),
        N_(
            "What a partner did with content: downloads, shares, opens of its own shares, and "
            "views of 10 seconds and more by the usual rule. Signing in is none."
        ),
        COUNT,
    ),
    Definition(
        "counted_activities",
        N_("Counted activities"),
        N_(
            "What people of a partner did in the 30 days: with content (the activities above); "
            "steps of its registrations and leads that they took; and answers in surveys that "
            "name who answers, because of the others nobody learns who did. Signing in is none."
        ),
        COUNT,
    ),
    Definition(
        "active_rate",
        N_("Active partners"),
        N_(
            "Partners with at least one counted activity in the last 30 days of the period, of "
            "those of whom somebody had access when these days began, with Wilson's 95 %% "
            "interval from 5 partners on. What partners with few people read counts only where "
            "it is shown."
        ),
        SHARE,
    ),
    Definition(
        "depth",
        N_("Activities per partner"),
        N_(
            "The counted activities of the same partners in the same 30 days, divided by their "
            "number, active or not."
        ),
        N_("activities per partner"),
    ),
    Definition(
        "state",
        N_("New, active, at risk, inactive"),
        N_(
            "New: with us for less than 90 days. Inactive: no activity in the last 90 days. At "
            "risk: less than half of the activities of the 90 days before, when those were at "
            "least 4. Active: all others."
        ),
        N_("a state"),
    ),
)
CONTENT = (
    Definition(
        "stale_days",
        N_("Days without a view"),
        N_(
            "Days since the last view by a partner or a customer, or since publishing when there "
            "was none. Listed are pieces in the library without a view for 90 days, and those "
            "that nobody has viewed in the 14 days and more since they were published."
        ),
        N_("days"),
    ),
    Definition(
        "reached",
        N_("Partners that opened it"),
        N_("Partners with at least one view until now, of those the piece is addressed to."),
        SHARE,
    ),
    Definition(
        "market_days",
        N_("Time to market"),
        N_(
            "Days from publishing until half of the partners it is addressed to had viewed it. A "
            "dash: half have not yet."
        ),
        N_("days"),
    ),
    Definition(
        "in_vain",
        N_("Searched without result"),
        N_(
            "Searches in the library that found nothing, when a person saw the page that said so. "
            "Words are shown when at least 2 partners searched for them, or one at least 3 times. "
            "Words with a name that the partner has written down as a recipient or a customer are "
            "not shown. All of these are counted as other searches."
        ),
        COUNT,
    ),
    Definition(
        "search_partners",
        N_("Partners that searched"),
        N_("Different partners who searched for these words without result."),
        COUNT,
    ),
    Definition(
        "area_views",
        N_("Page views by area"),
        N_("How often people at partners had a page of this part of the portal in front."),
        COUNT,
    ),
    Definition(
        "area_time",
        N_("Time in the portal"),
        N_(
            "How long they had it in front, counted like dwell time. It is effort, not engagement: "
            "less is often better. Kept by organisation only, never by person."
        ),
        TIME,
    ),
)
DEALS = (
    Definition(
        "registrations",
        N_("Registrations"),
        N_("Deal registrations that partners submitted in the period, by their status now."),
        COUNT,
    ),
    Definition(
        "expected_value",
        N_("Expected value"),
        N_(
            "What partners expect these orders to be worth; what was ordered, where it was won. "
            "Per currency, never converted, in whole units."
        ),
        N_("an amount per currency"),
    ),
    Definition(
        "won_deals",
        N_("Deals won"),
        N_("Orders that you have confirmed, by the day of the order."),
        COUNT,
    ),
    Definition(
        "revenue",
        N_("Revenue"),
        N_(
            "The net amounts of the orders that you have confirmed, by the day of the order. Per "
            "currency, as they were ordered."
        ),
        N_("an amount per currency"),
    ),
    Definition(
        "revenue_converted",
        N_("Revenue, converted"),
        N_(
            "All orders in the currency that reports add up in: each by the rate of the day of "
            "winning, which is the latest one on or before it and at most 31 days old. It is "
            "rounded to whole cents once, at the end. An administrator enters the rates."
        ),
        N_("an amount in one currency"),
    ),
    Definition(
        "without_rate",
        N_("Won deals without a rate"),
        N_(
            "Won deals that are in no converted amount, because no rate of the 31 days up to the "
            "day of winning is known for their currency, or they have no amount."
        ),
        COUNT,
    ),
    Definition(
        "lost",
        N_("Deals lost"),
        N_("Deals that were closed as lost in the period, by the day of closing."),
        COUNT,
    ),
    Definition(
        "open",
        N_("Open deals"),
        N_(
            "Deals approved by the end of the period that were not won, lost, withdrawn, expired "
            "or revoked by then, and those of which no day is known. What happened later does not "
            "change it; an order that you confirm counts from its own day."
        ),
        COUNT,
    ),
    Definition(
        "close_rate_closed",
        N_("Close rate of closed deals"),
        N_("Deals won of the deals won and lost, by the day of closing."),
        SHARE,
    ),
    Definition(
        "close_rate_cohort",
        N_("Close rate within 180 days"),
        N_(
            "Of the deals that became qualified in the period, those that were won within 180 "
            "days, whether the period had ended by then or not. Told of those whose 180 days are "
            "over today, and the same from then on; younger ones are maturing. Qualified means a "
            "lead that sales accepted, or a deal approved without one or of one that nobody "
            "accepted; an imported deal without a day of decision counts from its first contact."
        ),
        SHARE,
        version=2,
    ),
    Definition(
        "close_rate",
        N_("Close rate of the period"),
        N_(
            "Deals won in the period to deals that became qualified in it. There can be more of "
            "the first when older deals close."
        ),
        N_("per cent"),
        version=2,
    ),
    Definition(
        "cycle_mean",
        N_("Deal cycle, mean"),
        N_("From first contact to the day of the order, of the deals won in the period."),
        N_("days"),
    ),
    Definition(
        "cycle_median",
        N_("Deal cycle, median"),
        N_(
            "Of the deals begun in the period and approved by its end, the days after which half "
            "are won. Deals still open when it ended, and deals lost, expired or revoked, have "
            "lasted at least so long (Kaplan-Meier)."
        ),
        N_("days"),
    ),
    Definition(
        "won_by_day",
        N_("Won by day 30, 60, 90"),
        N_(
            "Of the deals begun in the period and approved by its end, the share that is won after "
            "so many days, losing being the other way to end (Aalen-Johansen). Deals open, expired "
            "or revoked have lasted at least so long."
        ),
        N_("per cent"),
    ),
    Definition(
        "approval_rate",
        N_("Approval rate"),
        N_("Registrations approved of those decided in the period, whatever came of them later."),
        SHARE,
    ),
    Definition(
        "decided_in_time",
        N_("Decided in time"),
        N_("Decisions made by the time that was promised, of those that had a promise."),
        SHARE,
    ),
    Definition(
        "decision_hours",
        N_("Time to decide"),
        N_(
            "Business hours in which a registration waited for you, without the time in which it "
            "waited for the partner. Of decisions made in the period; those undecided when it "
            "ended have waited at least so long (Kaplan-Meier). Decisions that were imported are "
            "not measured, and counted beside it."
        ),
        N_("business hours"),
    ),
    Definition(
        "undecided",
        N_("Undecided at the end"),
        N_(
            "Registrations submitted by the end of the period that were not decided, withdrawn or "
            "expired by then, whatever happened to them later."
        ),
        COUNT,
    ),
    Definition(
        "withdrawn_undecided",
        N_("Withdrawn before a decision"),
        N_(
            "Registrations that partners withdrew, or that expired, in the period without a "
            "decision. How long they waited is not in the time to decide."
        ),
        COUNT,
    ),
    Definition(
        "new_business",
        N_("New business"),
        N_(
            "Registrations of the period from partners without a registration in the 12 months "
            "before, or for a customer of which that partner had no deal here before."
        ),
        SHARE,
    ),
    Definition(
        "registrations_close_rate",
        N_("Close rate of registrations"),
        N_(
            "Of the registrations submitted in the period that were closed before it ended, those "
            "won. The others are still open, and can change it."
        ),
        SHARE,
    ),
    Definition(
        "registrations_cycle",
        N_("Deal cycle of registrations"),
        N_(
            "From first contact to the order, of the registrations submitted in the period that "
            "were won before it ended. The median takes the approved ones still open into account."
        ),
        N_("days"),
    ),
    Definition(
        "content_assisted",
        N_("Content-assisted"),
        N_(
            "Registrations before which somebody of the partner had a content activity on a piece "
            "of the same product family: a download, a share, an open of an own share, a view of "
            "10 seconds and more, on the day of submitting or in the 30 days before. What partners "
            "with few people read counts nowhere in it, only what they did on purpose. Content was "
            "there before the deal; that does not mean the deal is there because of it."
        ),
        SHARE,
    ),
    Definition(
        "content_shared",
        N_("Content shared before closing"),
        N_(
            "Of the deals won and lost in the period, those to whose customer the partner had sent "
            "a link before: the recipient is written as the customer of the deal is. How many, "
            "never to whom."
        ),
        SHARE,
    ),
    Definition(
        "content_declared",
        N_("Declared use"),
        N_(
            "Registrations of which the partner says which content helped, of those of which the "
            "partner answered one of the two questions."
        ),
        SHARE,
    ),
    Definition(
        "pursued_anyway",
        N_("Would have been pursued anyway"),
        N_(
            "Registrations that the partner would have pursued without the portal, of those of "
            "which the partner said yes, no or not sure."
        ),
        SHARE,
    ),
    Definition(
        "drafts_abandoned",
        N_("Drafts abandoned"),
        N_(
            "Drafts of registrations begun in the period that were never submitted and not touched "
            "for 14 days. Only how many: what is in them stays with the partner."
        ),
        COUNT,
    ),
    Definition(
        "revenue_per_partner",
        N_("Revenue per partner and 30 days"),
        N_(
            "Revenue in this currency, divided by the partners of whom somebody had access when "
            "the period began, for each 30 days of it."
        ),
        N_("an amount"),
    ),
    Definition(
        "order_median",
        N_("Median order"),
        N_("Half of the confirmed orders of the period were smaller than this, half larger."),
        N_("an amount"),
    ),
    Definition(
        "partner_median",
        N_("Median of the partners that won"),
        N_("Of the partners with a confirmed order in this currency, half sold less, half more."),
        N_("an amount"),
    ),
    Definition(
        "top_fifth",
        N_("Share of the top fifth"),
        N_(
            "How much of the revenue in this currency comes from the best fifth of the partners "
            "that won any, rounded up to whole partners."
        ),
        N_("per cent"),
    ),
    Definition(
        "sourced",
        N_("Sourced by partners"),
        N_(
            "Revenue of deals that were approved before the day of your first contact with the "
            "customer, or without any. Your contacts are known accounts of every product family, "
            "from the first contact in the list or the day of their import, and leads that you "
            "entered or imported, when they are surely the same company. What partners have "
            "registered is no contact of yours, and one that nobody wrote down cannot be known. Of "
            "imported deals it is not known, and said so. A part of the revenue, never added to it."
        ),
        N_("an amount"),
    ),
    Definition(
        "assisted_revenue",
        N_("Content-assisted revenue"),
        N_(
            "Revenue of deals whose registration was content-assisted. Of deals that were never "
            "registered here it is not known. A part of the revenue, never added to it."
        ),
        N_("an amount"),
    ),
    Definition(
        "upsell_rate",
        N_("Upsell rate"),
        N_(
            "Customers with a win before the period and an upsell win in it, of all customers with "
            "a win before it. Upsell is more in a family that they have. Where nobody has stated "
            "the kind of a deal, earlier wins tell: a larger order in the same family is upsell, "
            "another one there renewal, one in another family cross-sell."
        ),
        SHARE,
    ),
    Definition(
        "cross_sell_rate",
        N_("Cross-sell rate"),
        N_(
            "The same with cross-sell: a product family that the customer did not have before. A "
            "renewal is neither."
        ),
        SHARE,
    ),
    Definition(
        "upsell_conversion",
        N_("Conversion of upsell and cross-sell"),
        N_("Won deals of this kind, of those won and lost in the period."),
        SHARE,
    ),
    Definition(
        "losses",
        N_("Why deals were lost"),
        N_("Deals lost in the period with this reason, of all that were lost."),
        SHARE,
    ),
    Definition(
        "came",
        N_("Came this far"),
        N_(
            "Partners with access in the period, or links made in it, that took this step or a "
            "later one. Read past half: a page after the middle of a document was read for at "
            "least 2 seconds. Registered and won: by a deal of that partner with that customer."
        ),
        SHARE,
    ),
    Definition(
        "pages_stopped",
        N_("Pages where customers stop"),
        N_(
            "Of the links made in the period through which this document was opened and whose "
            "customer has not asked, or been registered, since: those of which this is the "
            "furthest page that was read for at least 2 seconds. A link with several documents "
            "counts for each that was opened. How many, never whose; as long as the details are "
            "kept."
        ),
        SHARE,
    ),
    Definition(
        "stopped",
        N_("Stop here"),
        N_("Those for whom it was the last step in the period. They add up to all."),
        COUNT,
    ),
    Definition(
        "baseline",
        N_("Before the portal"),
        N_(
            "What somebody has entered or imported for months before the period: of counts and "
            "amounts the mean of the last 12 of them that are known, of others their mean, too. "
            "Where only single partners are known, counts and amounts are their sum. It was "
            "counted elsewhere, perhaps in another way."
        ),
        N_("as the metric says"),
    ),
    Definition(
        "results",
        N_("What became of deals"),
        N_("Every line is a number of its own and leads to what it counts."),
        N_("as the line says"),
    ),
    Definition(
        "interval",
        N_("Interval"),
        N_(
            "Where the rate would lie in 95 of 100 periods like this one (Wilson). Printed from 20 "
            "deals on."
        ),
        N_("from and to"),
    ),
    Definition(
        "n",
        N_("n"),
        N_("How many deals the number is made of."),
        COUNT,
    ),
)
LEADS = (
    Definition(
        "new_leads",
        N_("New leads"),
        N_(
            "Leads that came in: entered by partners or by you, imported, or made by a customer "
            "who asked on a shared page. Opening a link or reading makes no lead."
        ),
        COUNT,
    ),
    Definition(
        "mql",
        N_("Qualified leads (MQL)"),
        N_(
            "Leads whose score reached the threshold for the first time in the period. The score "
            "is computed afresh from what the customer did and what is known, by the rules in "
            "force. The change stands against the stored figures of before, by month."
        ),
        COUNT,
    ),
    Definition(
        "sql",
        N_("Sales-ready leads (SQL)"),
        N_(
            "Leads that a partner or you accepted as sales-ready for the first time in the period; "
            "leads that nobody accepted, of which a deal was approved in it for the first time; "
            "and deals approved in it that came of no lead."
        ),
        COUNT,
        version=2,
    ),
    Definition(
        "without_lead",
        N_("SQL without a lead"),
        N_(
            "Deals that were approved in the period and came of no lead. They are part of the SQLs."
        ),
        COUNT,
    ),
    Definition(
        "mql_to_sql",
        N_("MQL to SQL"),
        N_(
            "Of the leads that became MQL in the period, at least 90 days ago, how many became SQL "
            "within 90 days. Leads are counted for the partner that has them today. The interval "
            "is printed from 20 of them on."
        ),
        SHARE,
        version=2,
    ),
    Definition(
        "maturing",
        N_("Maturing leads"),
        N_(
            "Leads that became MQL in the period less than 90 days ago. They are left out of MQL "
            "to SQL until their 90 days are over, whatever became of them already."
        ),
        COUNT,
    ),
)
SURVEYS = (
    Definition(
        "company",
        N_("Satisfaction with the company"),
        N_(
            "The mean of the partners' means: every partner counts the same, however many of its "
            "people answered."
        ),
        N_("1 to 10"),
    ),
    Definition(
        "experience",
        N_("Satisfaction with the partner experience"),
        N_("Counted in the same way, of the question on the partner experience."),
        N_("1 to 10"),
    ),
    Definition(
        "mean_of_partners",
        N_("Mean"),
        N_(
            "Of any question on the scale: the mean of the partners' means, where every partner "
            "counts the same. Who could not say is left out."
        ),
        N_("1 to 10"),
    ),
    Definition(
        "satisfaction_interval",
        N_("Interval of a mean"),
        N_(
            "The 95 %% interval of Student's t over partners: in 95 of 100 waves like this one it "
            "would hold what all partners think. Printed from 5 partners on."
        ),
        N_("1 to 10"),
    ),
    Definition(
        "share_high",
        N_("9 or 10"),
        N_(
            "People who chose 9 or 10, of the people who chose a number, with Wilson's 95 %% "
            "interval. In confidential and anonymous waves of all people only, never of a part."
        ),
        SHARE,
    ),
    Definition(
        "share_low",
        N_("1 to 4"),
        N_("People who chose 1 to 4, of the people who chose a number, counted in the same way."),
        SHARE,
    ),
    Definition(
        "cannot_say",
        N_("Cannot say"),
        N_(
            "People who chose no number but that they cannot say. They count as having answered, "
            "and in no mean. Told of the whole wave only."
        ),
        COUNT,
    ),
    Definition(
        "distribution",
        N_("Distribution"),
        N_("How many people chose each number. A later answer replaces an earlier one."),
        COUNT,
    ),
    Definition(
        "picked",
        N_("What they chose"),
        N_("People who chose the option, of those who chose any. One person may choose two."),
        SHARE,
    ),
    Definition(
        "answers_of_family",
        N_("Satisfaction by product family"),
        N_(
            "Answers of partners that have registered a deal of the family so far; one partner may "
            "be in several. Not shown of confidential and anonymous waves: a partner that comes to "
            "a family later would stand out."
        ),
        N_("1 to 10"),
    ),
    Definition(
        "satisfaction_change",
        N_("Change of the same partners"),
        N_(
            "The mean over the partners that answered both waves of what their own mean changed, "
            "with its 95 %% interval; of fewer than 6 partners only the change itself is told. "
            "Waves are compared when they asked the same two questions, word by word, and either "
            "both or neither show single answers. A protected wave is compared with at most four "
            "waves before it, and only where nobody's answer can be worked out."
        ),
        N_("points of the scale"),
    ),
    Definition(
        "series",
        N_("Series of waves"),
        N_(
            "Waves with the same number asked the same two questions, word by word, and either "
            "all or none of them show single answers: only they are compared. In the chart a line "
            "joins the waves of one survey, and breaks where the series changes."
        ),
        N_("number"),
    ),
    Definition(
        "satisfaction_p",
        N_("p"),
        N_(
            "How likely at least such a change would be if nothing had changed: by the paired t "
            "test; and by signed ranks (Pratt's way with ties, all signs tried up to 13 pairs), "
            "which a few extreme partners cannot sway."
        ),
        N_("0 to 1"),
    ),
    Definition(
        "would_be_seen",
        N_("Would have been seen"),
        N_(
            "The smallest change that so many partners, as different as these, would have shown in "
            "80 of 100 cases at 5 %% on both sides. A smaller one may be there and stay unseen."
        ),
        N_("points of the scale"),
    ),
    Definition(
        "dispositions",
        N_("What became of the invitations"),
        N_(
            "Each invitation once, by the standard definitions of AAPOR: answered in full or in "
            "part; declined; wants no more surveys; nothing came back; the mail could not be "
            "delivered, or nobody knows whether it arrived; lost access before answering."
        ),
        COUNT,
    ),
    Definition(
        "response_rate_1",
        N_("Response rate 1"),
        N_(
            "AAPOR's RR1: people who answered in full, of everyone who was asked but those who "
            "lost their access before. Mails that never arrived count as asked."
        ),
        SHARE,
    ),
    Definition(
        "response_rate_2",
        N_("Response rate 2"),
        N_("AAPOR's RR2: the same with answers in part."),
        SHARE,
    ),
    Definition(
        "response_rate_partners",
        N_("Response rate of partners"),
        N_(
            "Partners of whom at least one person answered, in full or in part, of those who were "
            "asked, with Wilson's 95 %% interval from 5 partners on."
        ),
        SHARE,
    ),
    Definition(
        "nonresponse",
        N_("Do they speak for the rest?"),
        N_(
            "How many of the partners that answered, and of those that did not, are of a tier, of "
            "a region, or had a content activity (a download, a share, an opened link of their "
            "own, a view of 10 seconds) in the 90 days before the wave. The difference has the 95 "
            "%% interval of Newcombe; far from 0, the means speak for the one side only. Where "
            "reading is kept by organisation, only what was done on purpose counts."
        ),
        SHARE,
    ),
    Definition(
        "answered_partners",
        N_("Partners that answered"),
        N_("Partners of whom at least one person answered, of those who were asked."),
        SHARE,
    ),
    Definition(
        "answered_people",
        N_("People who answered"),
        N_("People who answered, of those who were asked. A later answer replaces an earlier one."),
        SHARE,
    ),
)
GROUPS = (
    (N_("Reading"), READING),
    (N_("Downloads, shares and activities"), ACTS),
    (N_("Content and the portal"), CONTENT),
    (N_("Deals"), DEALS),
    (N_("Leads"), LEADS),
    (N_("Surveys"), SURVEYS),
)


def every() -> Iterator[Definition]:
    """All of them."""
    for _name, definitions in GROUPS:
        yield from definitions


def by_usual_rule(label: str, rule: IdleRule) -> str:
    """What a figure that never follows the chosen rule is called beside others that do."""
    if rule == IdleRule.reading:
        return label
    return _("%(name)s, by the usual rule", name=label)


RULES = {
    IdleRule.active: N_("in use only"),
    IdleRule.reading: N_("reading"),
    IdleRule.idle: N_("also idle"),
}
