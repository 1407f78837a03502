"""What administrators read about each duty: its name, what it is for, and what a run did."""

from __future__ import annotations

from dataclasses import dataclass

from flask_babel import gettext as _

from portal.errors import N_
from portal.formatting import count


@dataclass(frozen=True)
class Words:
    """The words of one duty. `one` and `many` say what a run did."""

    title: str
    purpose: str
    one: str
    many: str

    def result(self, done: int) -> str:
        """What a run did: `3 waves opened`."""
        return count(done, self.one, self.many) if done else _("nothing to do")


WORDS = {
    "tell_first_opens": Words(
        N_("First opens"),
        N_("Tells people which of their links a customer opened for the first time."),
        N_("%(num)s link opened"),
        N_("%(num)s links opened"),
    ),
    "send_mail": Words(
        N_("Mails"),
        N_("Hands waiting mails to the mail server."),
        N_("%(num)s mail sent"),
        N_("%(num)s mails sent"),
    ),
    "render_previews": Words(
        N_("Page images"),
        N_("Makes the pages of new documents visible."),
        N_("%(num)s file done"),
        N_("%(num)s files done"),
    ),
    "rebuild_days": Words(
        N_("Numbers"),
        N_("Adds up again the days on which something changed."),
        N_("%(num)s day added up"),
        N_("%(num)s days added up"),
    ),
    "age_days": Words(
        N_("Retention"),
        N_("Folds days that are over, and removes raw rows when their time has come."),
        N_("%(num)s day moved on"),
        N_("%(num)s days moved on"),
    ),
    "open_waves": Words(
        N_("Surveys"),
        N_("Opens the waves that are due."),
        N_("%(num)s wave opened"),
        N_("%(num)s waves opened"),
    ),
    "close_waves": Words(
        N_("Closing surveys"),
        N_("Settles waves that are over, and makes anonymous answers impossible to trace."),
        N_("%(num)s wave closed"),
        N_("%(num)s waves closed"),
    ),
    "remind_answers": Words(
        N_("Reminders of surveys"),
        N_("Reminds those who have not answered."),
        N_("%(num)s reminder written"),
        N_("%(num)s reminders written"),
    ),
    "check_conflicts": Words(
        N_("Conflicts"),
        N_("Looks for others who may be with the customer of a registration."),
        N_("%(num)s registration checked"),
        N_("%(num)s registrations checked"),
    ),
    "remind_decisions": Words(
        N_("Reminders of decisions"),
        N_("Tells managers which registrations wait for them."),
        N_("%(num)s registration told of"),
        N_("%(num)s registrations told of"),
    ),
    "remind_protections": Words(
        N_("Reminders of protections"),
        N_("Tells partners which of their protections end soon."),
        N_("%(num)s protection told of"),
        N_("%(num)s protections told of"),
    ),
    "warn_stale": Words(
        N_("Quiet deals"),
        N_("Asks for news of deals that have not moved for long."),
        N_("%(num)s deal asked about"),
        N_("%(num)s deals asked about"),
    ),
    "propose_renewals": Words(
        N_("Renewals"),
        N_("Proposes to partners and managers to renew contracts before they end."),
        N_("%(num)s renewal proposed"),
        N_("%(num)s renewals proposed"),
    ),
    "sum_up_decisions": Words(
        N_("Decision times"),
        N_("Sums up once a month how often the promised decision time was kept."),
        N_("%(num)s decision summed up"),
        N_("%(num)s decisions summed up"),
    ),
    "send_notices": Words(
        N_("Daily mails"),
        N_("Bundles what people should know into one mail a day."),
        N_("%(num)s mail written"),
        N_("%(num)s mails written"),
    ),
    "qualify_leads": Words(
        N_("Qualifying leads"),
        N_("Scores leads and moves on those that are worth a call."),
        N_("%(num)s lead qualified"),
        N_("%(num)s leads qualified"),
    ),
    "offer_leads": Words(
        N_("Offering leads"),
        N_("Offers a lead to the next partner when the one before did not answer."),
        N_("%(num)s offer made or ended"),
        N_("%(num)s offers made or ended"),
    ),
    "sweep_files": Words(
        N_("Files"),
        N_("Removes files that nothing refers to, a day after they were written."),
        N_("%(num)s file removed"),
        N_("%(num)s files removed"),
    ),
    "learn_sizes": Words(
        N_("Sizes of tables"),
        N_("Lets the database see how its rows are spread, so that reports stay fast."),
        N_("%(num)s index looked at"),
        N_("%(num)s indexes looked at"),
    ),
}


def words_of(name: str) -> Words:
    """The words of a duty; one without any is called by its name."""
    return WORDS.get(name) or Words(name, "", N_("%(num)s done"), N_("%(num)s done"))
