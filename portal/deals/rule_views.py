"""The rules for registrations: what holds, what held, and new ones from a day on."""

from __future__ import annotations

from datetime import date, datetime

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_babel.speaklater import LazyString
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as BaseResponse
from wtforms import DateField, IntegerField, SelectField, TextAreaField, TimeField
from wtforms.validators import InputRequired, Length, NumberRange, Optional, ValidationError

from portal import clock
from portal.accounts.access import admin_only, current_user, vendor_only
from portal.accounts.service import partner_facts, zone
from portal.choices import options
from portal.countries import countries
from portal.db import db, write
from portal.deals import policy, policy_versions
from portal.deals.forms import CURRENCIES, AmountField
from portal.deals.models import Policy
from portal.deals.policy import Calendar, Escalation, Terms
from portal.deals.views import bp
from portal.errors import Busy, Refused
from portal.formatting import sort_key

LONGEST = 500

ESCALATIONS = {
    Escalation.everyone: _l("all channel managers and administrators"),
    Escalation.managers: _l("all channel managers"),
    Escalation.admins: _l("all administrators"),
    Escalation.nobody: _l("nobody else"),
}


def _number(label: LazyString, low: int, high: int) -> IntegerField:
    return IntegerField(label, [InputRequired(), NumberRange(low, high)])


class RulesForm(FlaskForm):  # type: ignore[misc]
    """A new version of the rules."""

    decision_hours = _number(_l("Business hours to decide in"), 1, 400)
    opens = TimeField(_l("The working day begins"), [InputRequired()])
    closes = TimeField(_l("The working day ends"), [InputRequired()])
    holiday_country = SelectField(_l("Public holidays of"))
    protection_days = _number(_l("Days a customer is reserved"), 1, 1000)
    extension_days = _number(_l("Days an extension adds"), 1, 1000)
    max_extensions = _number(_l("Extensions at most"), 0, 20)
    max_resubmissions = _number(_l("Questions to the partner at most"), 0, 20)
    remind_percent = _number(_l("Remind us after this share of the time, in per cent"), 1, 99)
    escalate_to = SelectField(
        _l("Who hears of late decisions, too"), choices=options(ESCALATIONS.items())
    )
    remind_first_days = _number(_l("First reminder, days before a reservation ends"), 1, 365)
    remind_last_days = _number(_l("Last reminder, days before"), 1, 365)
    stale_days = _number(_l("Ask the partner after so many days without news"), 1, 1000)
    renewal_days = _number(_l("Propose a renewal so many days before a contract ends"), 1, 1000)
    two_person = AmountField(
        _l("Two approvers from this order on (empty: never)"), [Length(max=20)]
    )
    two_person_currency = SelectField(
        _l("in"), choices=options((code, code) for code in CURRENCIES)
    )
    benefits = TextAreaField(
        _l("What an approval brings, in a sentence (all tiers)"), [Length(max=LONGEST)]
    )
    valid_from = DateField(_l("In force from (empty: now)"), [Optional()])

    def validate_closes(self, field: TimeField) -> None:
        """A working day has some hours."""
        if self.opens.data and field.data and field.data <= self.opens.data:
            raise ValidationError(_("The working day must end after it begins."))

    def validate_remind_last_days(self, field: IntegerField) -> None:
        """The last one comes after the first."""
        if self.remind_first_days.data and field.data and field.data >= self.remind_first_days.data:
            raise ValidationError(_("The last reminder must come after the first."))

    def validate_valid_from(self, field: DateField) -> None:
        """What was decided stays decided."""
        if field.data and field.data < clock.local_day(clock.now(), zone()):
            raise ValidationError(_("New rules cannot begin in the past."))

    @property
    def terms(self) -> Terms:
        """The rules as they are reckoned with."""
        opens, closes = (t.hour * 60 + t.minute for t in (self.opens.data, self.closes.data))
        return Terms(
            decision_hours=self.decision_hours.data,
            calendar=Calendar(opens, closes, self.holiday_country.data or ""),
            protection_days=self.protection_days.data,
            extension_days=self.extension_days.data,
            max_extensions=self.max_extensions.data,
            max_resubmissions=self.max_resubmissions.data,
            remind_percent=self.remind_percent.data,
            escalate_to=Escalation(self.escalate_to.data or ""),
            protection_reminders=(self.remind_first_days.data, self.remind_last_days.data),
            stale_days=self.stale_days.data,
            renewal_days=self.renewal_days.data,
        )


def _form(rules: Policy) -> RulesForm:
    usual = {name: getattr(rules, name) for name in RulesForm.__dict__ if hasattr(rules, name)}
    usual |= {name: policy.time_of(getattr(rules, name)) for name in ("opens", "closes")}
    minor = rules.two_person_minor
    usual["two_person"] = "" if minor is None else f"{minor / 100:.2f}"
    del usual["valid_from"]
    form = RulesForm(**usual)
    known = policy.holiday_countries()
    named = [(code, name) for code, name in countries() if code in known]
    form.holiday_country.choices = options([("", _("– none –")), *named])
    return form


@bp.get("/deals/rules")
@vendor_only
def rules() -> str:
    """What holds for registrations, and every version that held."""
    return _page(_form(policy_versions.current_policy(db.session(), clock.now())))


@bp.post("/deals/rules")
@admin_only
def new_rules() -> tuple[str, int] | BaseResponse:
    """Set rules for registrations submitted from now, or from a day, on."""
    form = _form(policy_versions.current_policy(db.session(), clock.now()))
    if not form.validate():
        return _page(form), 400
    user_id = current_user().id
    try:
        with write() as session:
            policy_versions.add_policy(
                session,
                form.terms,
                valid_from=_begins(form.valid_from.data),
                two_person_minor=form.two_person.minor,
                two_person_currency=form.two_person_currency.data,
                benefits=form.benefits.data or "",
                tier_benefits=_tier_benefits(),
                by_id=user_id,
            )
    except (Refused, Busy) as refusal:
        return _page(form, refusal), refusal.status
    flash(_("Saved. Registrations that are already submitted keep their rules."))
    return redirect(url_for("deals.rules"))


def _tiers(rules: Policy) -> list[str]:
    """The tiers that partners have, and those that have a sentence already."""
    found = {row.tier for row in partner_facts(db.session()) if row.tier}
    return sorted(found | rules.tier_benefits.keys(), key=sort_key)


def _tier_benefits() -> dict[str, str]:
    """What the form says an approval brings, by tier; the fields are numbered like the tiers."""
    tiers, texts = request.form.getlist("tier"), request.form.getlist("tier_benefits")
    return {tier[:40]: words.strip()[:LONGEST] for tier, words in zip(tiers, texts, strict=False)}


def _begins(day: date | None) -> datetime:
    now = clock.now()
    if day is None or day == clock.local_day(now, zone()):
        return now
    return clock.day_start(day, zone())


def _page(form: RulesForm, refusal: Refused | Busy | None = None) -> str:
    now = clock.now()
    current = policy_versions.current_policy(db.session(), now)
    said = _tier_benefits() if form.is_submitted() else current.tier_benefits
    return render_template(
        "deals/rules.html",
        form=form,
        tiers=[(tier, said.get(tier, "")) for tier in _tiers(current)],
        longest=LONGEST,
        current=current,
        versions=policy_versions.policies(db.session()),
        example=policy.decision_due(now, current.terms, zone()),
        time_of=policy.time_of,
        escalations=ESCALATIONS,
        country_names=dict(countries()),
        now=now,
        refusal=str(refusal or ""),
    )
