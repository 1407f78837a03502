"""Forms of surveys."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, time
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    DateField,
    Field,
    HiddenField,
    IntegerField,
    RadioField,
    SelectField,
    SelectMultipleField,
    StringField,
    TimeField,
)
from wtforms.validators import (
    DataRequired,
    InputRequired,
    Length,
    NumberRange,
    Optional,
    Regexp,
    ValidationError,
)
from wtforms.widgets import CheckboxInput

from portal.choices import options
from surveys.audience import Audience
from surveys.models import Mode, Survey
from surveys.plans import LEAST_N, MINIMUM_N, Plan
from surveys.rhythms import EVERY, NTH, month_name, weekday_name
from surveys.schedule import STEPS, Every, On, Rhythm, from_iso

NEVER, UNTIL, COUNT = "never", "until", "count"
LONGEST_OPEN = 90
EARLIEST = date(2000, 1, 1)
# What a rhythm has besides how often it asks.
_OF_RHYTHM = ("interval", "on", "nth", "weekday", "day", "month", "until", "count")

MODES = {
    Mode.attributed: _l("Attributed"),
    Mode.confidential: _l("Confidential"),
    Mode.anonymous: _l("Anonymous"),
}
ON = {
    On.weekday: _l("A weekday, as the first Monday"),
    On.day: _l("A day of the month"),
    On.last_day: _l("The last day of the month"),
}
ENDS = {
    NEVER: _l("Never"),
    UNTIL: _l("On a day"),
    COUNT: _l("After a number of waves"),
}


class AnswerForm(FlaskForm):  # type: ignore[misc]
    """What an answer has besides the questions, which `surveys.answering` reads."""

    submission = HiddenField(validators=[Regexp(r"^\w{0,40}$")])


def _number(label: Any, low: int, high: int, default: int) -> IntegerField:
    wrong = _l("Use a number from %(low)s to %(high)s.", low=low, high=high)
    return IntegerField(
        label, [InputRequired(wrong), NumberRange(low, high, wrong)], default=default
    )


@dataclass(frozen=True)
class Offer:
    """What there is to choose from."""

    questionnaires: list[tuple[str, str]]
    tiers: list[str]
    regions: list[str]
    partners: list[tuple[str, str]]
    roles: list[tuple[str, Any]]


class TicksField(SelectMultipleField):  # type: ignore[misc]
    """Some of a few, each with a box of its own."""

    option_widget = CheckboxInput()


class SurveyForm(FlaskForm):  # type: ignore[misc]
    """All that is decided about a survey. What does not belong to the rhythm that is chosen is
    shown aside and not read."""

    name = StringField(_l("Name"), [DataRequired(_l("Enter a name.")), Length(max=120)])
    questionnaire = SelectField(_l("Questionnaire"))
    mode = RadioField(
        _l("Who sees the answers"), choices=options(MODES.items()), default=Mode.attributed
    )

    tiers = TicksField(_l("Tiers"))
    regions = TicksField(_l("Regions"))
    roles = TicksField(_l("Roles"))
    partners = SelectMultipleField(_l("Partners"))
    never_asked = BooleanField(_l("Only people whom no survey has asked yet"))

    every = SelectField(_l("How often"), choices=options(EVERY.items()), default=Every.quarter)
    interval = _number(_l("Weeks from one wave to the next"), 1, 104, 1)
    on = SelectField(_l("On"), choices=options(ON.items()), default=On.weekday)
    nth = SelectField(_l("Which one"), choices=options(NTH.items()), coerce=int, default=1)
    weekday = SelectField(_l("Weekday"), coerce=int, default=0)
    day = _number(_l("Day of the month"), 1, 31, 1)
    month = SelectField(_l("First month of the year"), coerce=int, default=1)
    at = TimeField(_l("At"), [InputRequired(_l("Choose a time."))], default=time(9))
    zone = SelectField(_l("Time zone"))
    start = DateField(_l("Not before"), [InputRequired(_l("Choose a day."))])
    ends = SelectField(_l("It ends"), choices=options(ENDS.items()), default=NEVER)
    until = DateField(_l("Last day"), [Optional()])
    count = IntegerField(
        _l("Number of waves"), [Optional(), NumberRange(1, 500, _l("Use a number from 1 to 500."))]
    )

    open_days = _number(_l("Open for how many days"), 1, LONGEST_OPEN, 14)
    reminders = StringField(_l("Reminders, days after opening"), [Length(max=60)])
    quarantine_days = _number(_l("Days between two surveys for one person"), 0, 1000, 0)
    minimum_n = _number(_l("No figure of fewer people than"), LEAST_N, 100, MINIMUM_N)

    def __init__(self, offer: Offer, kept: dict[str, Any]) -> None:
        super().__init__(**kept)
        self.questionnaire.choices = options(offer.questionnaires)
        self.tiers.choices = options(_named(offer.tiers, kept.get("tiers")))
        self.regions.choices = options(_named(offer.regions, kept.get("regions")))
        self.partners.choices = options(offer.partners)
        self.roles.choices = options(offer.roles)
        self.weekday.choices = options((n, weekday_name(n)) for n in range(7))
        self.month.choices = options((n, month_name(n)) for n in range(1, 13))
        self.zone.choices = options((name, name) for name in _zones(kept["zone"]))

    def validate(self, extra_validators: Any = None) -> bool:
        """Field by field, then what belongs together. Of what is put aside nothing is wrong: nobody
        sees it."""
        super().validate(extra_validators)
        for field in self._aside:
            if field.errors:
                field.errors, field.data = [], field.object_data
        if self._is_due and self.ends.data == UNTIL and not self.until.data:
            _wrong(self.until, _("Choose the last day on which it may ask."))
        if self._is_due and self.ends.data == COUNT and not (self.count.data or self.count.errors):
            _wrong(self.count, _("Say after how many waves it ends."))
        if not self.errors and self.rhythm.is_impossible:
            _wrong(
                self.day,
                _("There is no such day. Choose another, or the last day of the month."),
            )
        return not self.errors

    @property
    def _is_due(self) -> bool:
        return bool(self.every.data != Every.never)

    @property
    def _aside(self) -> list[Field]:
        """What does not belong to what is chosen, as the page hides it."""
        every, on, ends = self.every.data, self.on.data, self.ends.data
        monthly, due = every in STEPS, self._is_due
        belongs = {
            self.interval: every == Every.week,
            self.on: monthly,
            self.nth: monthly and on == On.weekday,
            self.weekday: every == Every.week or (monthly and on == On.weekday),
            self.day: monthly and on == On.day,
            self.month: monthly and every != Every.month,
            self.at: due,
            self.start: due,
            self.ends: due,
            self.until: due and ends == UNTIL,
            self.count: due and ends == COUNT,
        }
        return [field for field, is_read in belongs.items() if not is_read]

    def validate_start(self, field: DateField) -> None:
        """Weeks are counted from it: not from before there were surveys."""
        if field.data < EARLIEST:
            raise ValidationError(_("Choose a day from the year 2000 on."))

    def validate_reminders(self, _field: StringField) -> None:
        """Everyone can still answer when reminded."""
        try:
            days = self.reminder_days
        except ValueError:
            raise ValidationError(_("Write days as numbers with commas, as: 5, 10.")) from None
        longest = self.open_days.data or LONGEST_OPEN
        if any(not 1 <= day < longest for day in days):
            raise ValidationError(
                _("A reminder comes after the opening and before the closing: from day 1 to %(n)s.",
                  n=longest - 1)
            )  # fmt: skip
        if len(days) > 5:
            raise ValidationError(_("Remind people five times at most."))

    @property
    def reminder_days(self) -> tuple[int, ...]:
        """The days of the reminders. Raises ValueError."""
        words = (self.reminders.data or "").replace(";", ",").split(",")
        return tuple(sorted({int(word) for word in words if word.strip()}))

    @property
    def rhythm(self) -> Rhythm:
        """When it asks."""
        aside = {field.name for field in self._aside}
        kept = {name: self[name].data for name in _OF_RHYTHM if name not in aside}
        return Rhythm(Every(self.every.data), on=On(kept.pop("on", On.weekday)), **kept)

    @property
    def plan(self) -> Plan:
        """What was filled in."""
        return Plan(
            name=self.name.data.strip(),
            questionnaire_id=uuid.UUID(chosen) if (chosen := self.questionnaire.data) else None,
            mode=self.mode.data,
            audience=Audience(
                tiers=tuple(self.tiers.data),
                regions=tuple(self.regions.data),
                roles=tuple(self.roles.data),
                partners=tuple(map(uuid.UUID, self.partners.data)),
                never_asked=self.never_asked.data,
            ),
            rhythm=self.rhythm,
            start=self.start.data,
            at=self.at.data,
            zone=ZoneInfo(self.zone.data),
            open_days=self.open_days.data,
            reminder_days=self.reminder_days,
            quarantine_days=self.quarantine_days.data,
            minimum_n=self.minimum_n.data,
        )


def _wrong(field: Field, sentence: str) -> None:
    field.errors = [*field.errors, sentence]


def _named(names: Iterable[str], chosen: Iterable[str] | None) -> list[tuple[str, str]]:
    """The names that partners have, and those that were chosen when some had them."""
    return [(name, name) for name in [*names, *sorted(set(chosen or ()) - set(names))]]


def _zones(kept: str) -> list[str]:
    """The time zones of places, without the many other names that they have."""
    places = {name for name in available_timezones() if "/" in name}
    usual = {name for name in places if not name.startswith(("Etc/", "SystemV/", "US/"))}
    return sorted(usual | {"UTC", kept})


def filled(survey: Survey) -> dict[str, Any]:
    """A survey as the form shows it."""
    rhythm = Rhythm.parse(survey.rrule) or Rhythm(Every.quarter)
    starts, audience = from_iso(survey.starts_local), Audience.of(survey.audience)
    return {
        **vars(rhythm),
        "ends": UNTIL if rhythm.until else COUNT if rhythm.count else NEVER,
        "at": starts.time(),
        "start": starts.date(),
        "zone": survey.timezone,
        "name": survey.name,
        "questionnaire": str(survey.questionnaire_id),
        "mode": survey.mode,
        **vars(audience),
        "partners": [str(key) for key in audience.partners],
        "open_days": survey.open_days,
        "reminders": ", ".join(map(str, survey.reminder_days)),
        "quarantine_days": survey.quarantine_days,
        "minimum_n": survey.minimum_n,
    }
