"""Forms of leads."""

from __future__ import annotations

from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    EmailField,
    FieldList,
    Form,
    FormField,
    HiddenField,
    IntegerField,
    SelectField,
    StringField,
    TelField,
    TextAreaField,
)
from wtforms.validators import (
    DataRequired,
    Email,
    InputRequired,
    Length,
    NumberRange,
    Optional,
    ValidationError,
)

from portal.choices import options
from portal.countries import countries
from portal.leads import reasons
from portal.leads.assignment import AssignRule
from portal.leads.rules import Rules
from portal.leads.scoring import (
    ATTRIBUTES,
    EVENTS,
    MAX_CAP,
    MAX_HALF_LIFE,
    MAX_POINTS,
    VALUED,
    ScoreRule,
)

_NO_ADDRESS = _l("This is not an e-mail address. It looks like name@company.com.")
# Lines for new rules below those that are there.
SPARE = 3

WHAT_NAMES = {
    "asked": _l("Asked a question"),
    "open": _l("Opened what was shared"),
    "minute": _l("Each minute of reading it"),
    "download": _l("Downloaded it"),
    "source": _l("Source"),
    "country": _l("Country"),
    "region": _l("Region"),
    "product_family": _l("Product family"),
    "company": _l("Company is known"),
    "contact": _l("Contact is known"),
    "email": _l("E-mail address is known"),
    "phone": _l("Telephone is known"),
}


def strip(value: str | None) -> str:
    """What was typed, without the spaces around it."""
    return (value or "").strip()


class LeadForm(FlaskForm):  # type: ignore[misc]
    """A possible customer, as a partner or the vendor writes them down."""

    company = StringField(
        _l("Company"), [DataRequired(_l("Say which company it is.")), Length(max=200)], [strip]
    )
    contact = StringField(_l("Contact"), [Length(max=200)], [strip])
    email = EmailField(
        _l("E-mail address"), [Optional(), Email(_NO_ADDRESS), Length(max=254)], [strip]
    )
    phone = TelField(_l("Telephone"), [Length(max=40)], [strip])
    country = SelectField(_l("Country"), default="")
    product_family = SelectField(_l("Product family"), default="")
    note = TextAreaField(_l("What it is about"), [Length(max=2000)])

    def __init__(self, families: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        nothing = ("", _("Not known"))
        self.country.choices = options([nothing, *countries()])
        self.product_family.choices = options([nothing, *families])

    @property
    def facts(self) -> dict[str, Any]:
        """What was filled in, by the names of the lead's columns."""
        names = ("company", "contact", "email", "phone", "country", "note")
        return {name: self[name].data or "" for name in names}


class VendorLeadForm(LeadForm):
    """The same at the vendor, with where it belongs and who gets it."""

    region = SelectField(_l("Region"), default="")
    partner = SelectField(_l("Offer it to"), default="")

    def __init__(
        self,
        families: list[tuple[str, str]],
        regions: list[str],
        partners: list[tuple[str, str]],
        **kwargs: Any,
    ) -> None:
        super().__init__(families, **kwargs)
        self.region.choices = options([("", _("That of the country")), *((r, r) for r in regions)])
        self.partner.choices = options([("", _("Whom the rules find")), *partners])

    @property
    def facts(self) -> dict[str, Any]:
        """What was filled in, by the names of the lead's columns."""
        return {**super().facts, "region": self.region.data or ""}


class AskForm(FlaskForm):  # type: ignore[misc]
    """A customer asks whoever sent them a link. `sentence` is what they read and agreed to."""

    name = StringField(
        _l("Your name"), [DataRequired(_l("Please give your name.")), Length(max=200)], [strip]
    )
    email = EmailField(
        _l("Your e-mail address"),
        [
            DataRequired(_l("Please give an address, so that you can be answered.")),
            Email(_NO_ADDRESS),
            Length(max=254),
        ],
        [strip],
    )
    company = StringField(_l("Your company (optional)"), [Length(max=200)], [strip])
    question = TextAreaField(_l("Your question (optional)"), [Length(max=2000)], [strip])
    consent = BooleanField(
        "", [DataRequired(_l("Please agree, or nobody may use your address to answer."))]
    )


class ReasonForm(FlaskForm):  # type: ignore[misc]
    """Why, and a few words."""

    reason_code = SelectField(_l("Why?"), default="")
    note = StringField(_l("A few words (optional)"), [Length(max=500)], [strip])

    def __init__(self, of: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        names = reasons.DECLINED if of == "decline" else reasons.DISQUALIFIED
        self.reason_code.choices = options([("", _("Please choose")), *names.items()])


class ScoreRuleForm(Form):  # type: ignore[misc]
    """One line of what scores; without a kind it is left out."""

    what = SelectField(
        default="",
        choices=options([("", "–"), *((key, WHAT_NAMES[key]) for key in (*EVENTS, *ATTRIBUTES))]),
    )
    value = StringField(validators=[Length(max=100)], filters=[strip])
    points = IntegerField(validators=[Optional(), NumberRange(-MAX_POINTS, MAX_POINTS)])
    half_life = IntegerField(validators=[Optional(), NumberRange(1, MAX_HALF_LIFE)])
    cap = IntegerField(validators=[Optional(), NumberRange(1, MAX_CAP)])

    def validate_what(self, field: SelectField) -> None:
        """A rule brings something."""
        if field.data and not self.points.errors and not self.points.data:
            raise ValidationError(_("Say how many points it brings."))

    def validate_value(self, field: StringField) -> None:
        """Who the customer is cannot be asked for."""
        if field.data and self.what.data and self.what.data not in VALUED:
            raise ValidationError(
                _("Only source, country, region and product family can have a value.")
            )


class AssignRuleForm(Form):  # type: ignore[misc]
    """One line of who gets leads; one that says nothing is left out unless `use` is ticked."""

    use = BooleanField()
    region = SelectField(default="")
    tier = SelectField(default="")


class RulesForm(FlaskForm):  # type: ignore[misc]
    """A new version of the rules for leads."""

    version = HiddenField()
    threshold = IntegerField(
        _l("Marketing-qualified from this score on"), [InputRequired(), NumberRange(1, 10_000)]
    )
    accept_hours = IntegerField(
        _l("Hours a partner has to accept a lead"), [InputRequired(), NumberRange(1, 24 * 90)]
    )
    scoring = FieldList(FormField(ScoreRuleForm), max_entries=40)
    assignment = FieldList(FormField(AssignRuleForm), max_entries=40)

    def offer(self, regions: list[str], tiers: list[str]) -> None:
        """Say which regions and tiers there are."""
        for line in self.assignment:
            for field, names, any_of in (
                (line.form.region, regions, _("any region")),
                (line.form.tier, tiers, _("any tier")),
            ):
                kept = {field.data} - {"", None, *names}
                choices = [("", any_of), *((name, name) for name in [*names, *sorted(kept)])]
                field.choices = options(choices)

    @property
    def rules(self) -> Rules:
        """What was filled in."""
        version = self.version.data or ""
        return Rules(
            int(version) if version.isdecimal() else 0,
            self.threshold.data,
            self.accept_hours.data,
            tuple(
                ScoreRule(row["what"], row["points"], row["half_life"], row["cap"], row["value"])
                for row in self.scoring.data
                if row["what"]
            ),
            tuple(
                AssignRule(row["region"], row["tier"]) for row in self.assignment.data if row["use"]
            ),
        )


def filled(rules: Rules) -> dict[str, Any]:
    """Rules as the form shows them, with lines to spare."""
    lines: list[dict[str, Any]] = [vars(rule) for rule in rules.scoring]
    chosen: list[dict[str, Any]] = [{**vars(rule), "use": True} for rule in rules.assignment]
    return {
        "version": str(rules.version),
        "threshold": rules.threshold,
        "accept_hours": rules.accept_hours,
        "scoring": [*lines, *({"what": ""} for _n in range(SPARE))],
        "assignment": [*chosen, *({"region": "", "tier": ""} for _n in range(SPARE))],
    }
