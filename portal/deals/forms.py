"""Forms of deals."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import (
    DateField,
    Field,
    HiddenField,
    RadioField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import UUID, Length, Optional, ValidationError

from portal.choices import options
from portal.countries import countries
from portal.deals.money import parse_amount
from portal.deals.reasons import LABELS, LOSS_LABELS

CURRENCIES = ("EUR", "CHF", "GBP", "USD", "SEK", "DKK", "NOK", "PLN", "CZK")
TYPE_NAMES = {
    "new": _l("New business"),
    "renewal": _l("Renewal"),
    "upsell": _l("Upsell: more of what they have"),
    "cross_sell": _l("Cross-sell: another family"),
}


class AmountField(StringField):  # type: ignore[misc]
    """An amount as people write it; `minor` holds it in minor units."""

    minor: int | None = None

    def pre_validate(self, _form: Any) -> None:
        """Refuse what is no amount, with a sentence."""
        try:
            self.minor = parse_amount(self.data or "")
        except ValueError:
            raise ValidationError(
                _("Write the amount in figures, like 12 400 or 12400.50.")
            ) from None


TODAY, EARLIER = "today", "earlier"


class ClaimForm(FlaskForm):  # type: ignore[misc]
    """What a partner claims. What is still missing is asked for when submitting."""

    key = HiddenField(validators=[Optional(), UUID()])
    version = HiddenField()
    customer_name = StringField(_l("Customer (legal name)"), [Length(max=200)])
    domain = StringField(_l("Customer's web domain"), [Length(max=253)])
    country = SelectField(_l("Country"), validate_choice=True)
    postcode = StringField(_l("Postcode"), [Length(max=20)])
    contact = StringField(_l("Contact at the customer"), [Length(max=200)])
    tax_id = StringField(_l("Customer's VAT number, if you know it"), [Length(max=40)])
    product_family = SelectField(_l("Product family"))
    deal_type = SelectField(_l("Kind of deal"))
    expected_close = DateField(_l("Expected order on"), [Optional()])
    amount = AmountField(_l("Expected order, net"), [Length(max=20)])
    currency = SelectField(_l("Currency"), choices=options((code, code) for code in CURRENCIES))
    contact_when = RadioField(
        _l("First contact"),
        [Optional()],
        choices=options([(TODAY, _l("Today")), (EARLIER, _l("Earlier"))]),
    )
    first_contact = DateField(_l("Day of the first contact"), [Optional()])

    def __init__(self, families: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        nothing = ("", _("Please choose"))
        self.country.choices = options([nothing, *countries()])
        self.product_family.choices = options([nothing, *families])
        self.propose("")

    def propose(self, kind: str) -> None:
        """Offer the kind of deal that the partner's own wins say, before all others."""
        proposal = proposal_text(kind)
        self.deal_type.choices = options([("", proposal), *TYPE_NAMES.items()])


def proposal_text(kind: str) -> str:
    """The kind that is meant when none is chosen."""
    if kind not in TYPE_NAMES:
        return _("As your earlier orders say")
    return _("Proposed: %(kind)s", kind=TYPE_NAMES[kind])


class AskForm(FlaskForm):  # type: ignore[misc]
    """A question to the partner."""

    sentence = TextAreaField(_l("Your question to the partner"), [Length(max=2000)])


class ApproveForm(FlaskForm):  # type: ignore[misc]
    """Which customer the claim is about."""

    customer = RadioField(_l("Customer"), validate_choice=True)
    confirmation = TextAreaField(
        _l("Why approve it although somebody else is with this customer? (only we see this)"),
        [Length(max=2000)],
    )
    deal_type = SelectField(
        _l("Kind of deal"), [Optional()], choices=options([("", ""), *TYPE_NAMES.items()])
    )


class RejectForm(FlaskForm):  # type: ignore[misc]
    """Why not: a code for us, a sentence for the partner."""

    reason_code = SelectField(
        _l("Reason (only we see this)"),
        choices=options([("", _l("Please choose")), *LABELS.items()]),
    )
    sentence = TextAreaField(_l("Sentence to the partner"), [Length(max=2000)])


class WonForm(FlaskForm):  # type: ignore[misc]
    """The order."""

    amount = AmountField(_l("Order, net, without VAT"), [Length(max=20)])
    currency = SelectField(_l("Currency"), choices=options((code, code) for code in CURRENCIES))
    won_on = DateField(_l("Day of the order"), [Optional()])
    order_number = StringField(_l("Order number (optional)"), [Length(max=60)])
    contract_ends = DateField(_l("The contract ends on (optional)"), [Optional()])


class LostForm(FlaskForm):  # type: ignore[misc]
    """Why it was lost."""

    loss_reason = SelectField(
        _l("Why was it lost?"), choices=options([("", _l("Please choose")), *LOSS_LABELS.items()])
    )


def sensible(day: date | None, field: Field) -> date | None:
    """`day`, when a calendar of our time has it; else the field says so."""
    if day is not None and not 1990 <= day.year <= 2100:
        field.errors = [*field.errors, _("This year cannot be right.")]
    return day
