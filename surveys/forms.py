"""Forms of surveys."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import (
    DateField,
    HiddenField,
    IntegerField,
    SelectField,
    StringField,
)
from wtforms.validators import InputRequired, Length, NumberRange, Regexp

from portal.choices import options

RHYTHMS = {
    "weekly": _l("Every week, on Monday"),
    "monthly": _l("Every month, on the first Monday"),
    "thirteen_weeks": _l("Every 13 weeks, on Monday"),
    "quarterly": _l("Every quarter, on the first Monday"),
    "half_yearly": _l("In March and September, on the first Monday"),
    "yearly": _l("Once a year, on the first Monday in March"),
}


class AnswerForm(FlaskForm):  # type: ignore[misc]
    """What an answer has besides the questions, which `surveys.answering` reads."""

    submission = HiddenField(validators=[Regexp(r"^\w{0,40}$")])


class SurveyForm(FlaskForm):  # type: ignore[misc]
    """The rhythm of a survey."""

    name = StringField(_l("Name"), [InputRequired(_l("Enter a name.")), Length(max=120)])
    rhythm = SelectField(_l("How often"), choices=options(RHYTHMS.items()), default="quarterly")
    start = DateField(_l("Not before"), [InputRequired(_l("Choose a day."))])
    hour = SelectField(
        _l("At"),
        coerce=int,
        default=9,
        choices=options((hour, f"{hour:02d}:00") for hour in range(24)),
    )
    open_days = IntegerField(
        _l("Open for how many days"),
        [NumberRange(1, 90, _l("Use a number from 1 to 90."))],
        default=14,
    )
