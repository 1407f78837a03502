"""The registration form: begun anywhere, saved by itself, submitted in a minute."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

from flask import Response, flash, jsonify, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse
from wtforms import DateField, SelectField

from portal import clock
from portal.accounts.access import current_user, partners_only
from portal.accounts.models import User
from portal.accounts.service import zone
from portal.content import library
from portal.db import db, new_id, write
from portal.deals import drafts, policy, policy_versions, prefill, promise, service
from portal.deals.drafts import Claim
from portal.deals.forms import EARLIER, TODAY, ClaimForm, proposal_text, sensible
from portal.deals.models import Deal
from portal.deals.pipeline import Status, missing
from portal.deals.record import Given
from portal.deals.views import SIMPLE, bp
from portal.errors import Busy, Refused
from portal.formatting import clock_time
from portal.kept import Overwritten

LONGEST_TYPED = 2000
_FIELD_OF = {"product_family_id": "product_family", "amount_minor": "amount"}


# --- the form and what it says ------------------------------------------------------------------


def _form(deal: Deal | None = None, **values: Any) -> ClaimForm:
    families = [(str(row.id), row.name) for row in library.families(db.session())]
    if deal is not None:
        minor = deal.amount_minor
        values["amount"] = "" if minor is None else f"{minor / 100:.2f}"
        values["key"] = str(deal.id)
    form = ClaimForm(families, obj=deal, **values)
    if not form.is_submitted():
        if deal is not None:
            # The deal's own is a row, which no option of the list is.
            form.product_family.data = str(deal.product_family_id or "")
        _show_first_contact(form)
        for name, text in (deal.typed if deal else {}).items():
            _show_typed(form, name, text)
    return form


def _show_first_contact(form: ClaimForm) -> None:
    day = form.first_contact.data
    form.contact_when.data = TODAY if day in (None, _today()) else EARLIER


def _show_typed(form: ClaimForm, name: str, text: str) -> None:
    """Show again what was typed and could not be read."""
    if name not in form:
        return
    if isinstance(form[name], DateField):
        form[name].raw_data = [text]
    else:
        form[name].data = text


def _today() -> date:
    return clock.local_day(clock.now(), zone())


def _read(form: ClaimForm) -> Claim:
    """What the form says; each field that could not be read has its sentence."""
    form.validate()
    for day in (form.expected_close, form.first_contact):
        sensible(day.data, day)
    first = _first_contact(form)
    bad = {field.name for field in form if field.errors}

    def text(name: str) -> str:
        return "" if name in bad else " ".join((form[name].data or "").split())

    family = text("product_family")
    values = {
        "customer_name": text("customer_name"),
        "domain": text("domain").lower(),
        "country": text("country"),
        "postcode": text("postcode"),
        "contact": text("contact"),
        "tax_id": text("tax_id"),
        "product_family_id": uuid.UUID(family) if family else None,
        "deal_type": text("deal_type"),
        "expected_close": None if "expected_close" in bad else form.expected_close.data,
        "amount_minor": None if "amount" in bad else form.amount.minor,
        "currency": text("currency"),
        "first_contact": None if "first_contact" in bad else first,
    }
    typed = {name: _typed(form, name) for name in bad if not isinstance(form[name], SelectField)}
    return Claim(values, {name: words for name, words in typed.items() if words})


def _typed(form: ClaimForm, name: str) -> str:
    return " ".join(form[name].raw_data or [])[:LONGEST_TYPED]


def _first_contact(form: ClaimForm) -> date | None:
    if form.contact_when.data == TODAY:
        form.first_contact.errors = []
        return _today()
    day: date | None = form.first_contact.data
    if day is not None and day > _today():
        form.first_contact.errors = [_("The first contact lies in the future.")]
    return day


def _ask_for(form: ClaimForm, claim: Claim, needed: tuple[str, ...] | list[str]) -> bool:
    """Whether the form can be used; what is missing is said at its field."""
    for name in needed:
        field = form[_FIELD_OF.get(name, name)]
        if claim.values[name] in (None, "") and not field.errors:
            field.errors = [_(missing(name))]
    return not any(field.errors for field in form)


def _key(form: ClaimForm) -> uuid.UUID:
    try:
        return uuid.UUID(form.key.data or "")
    except ValueError:
        return new_id()


def _version() -> int | None:
    text = request.form.get("version", "")
    return int(text) if text.isdecimal() and len(text) < 9 else None


def _page(
    form: ClaimForm, deal: Deal | None, refused: Refused | Busy | None = None
) -> tuple[str, int]:
    now, user = clock.now(), current_user()
    assert user.partner is not None
    rules = policy_versions.current_policy(db.session(), now)
    if refused or request.method == "GET":
        form.version.data = str(deal.version if deal else 0)
    page = render_template(
        "deals/form.html",
        form=form,
        deal=deal,
        refused=refused,
        is_overwritten=isinstance(refused, Overwritten),
        due=policy.decision_due(now, rules.terms, zone()),
        rules=rules,
        benefits=rules.benefits_for(user.partner.tier),
        promise=promise.for_partner(db.session(), user, now),
    )
    if refused:
        return page, refused.status
    return page, 400 if form.errors else 200


# --- a new one, and a draft -----------------------------------------------------------------------


@bp.route("/deals/new", methods=["GET", "POST"])
@partners_only
def new() -> tuple[str, int] | BaseResponse:
    """Claim a deal in a minute."""
    if request.method == "POST":
        form = _form()
        return _save(form, _key(form))
    session, user = db.session(), current_user()
    found = prefill.asked(session, user, request.args)
    if found.deal is not None:
        is_draft = found.deal.status == Status.draft
        return redirect(url_for("deals.edit" if is_draft else "deals.show", deal_id=found.deal.id))
    assert user.partner_id is not None
    currency = prefill.usual_currency(session, user.partner_id)
    form = _form(**{"currency": currency, "key": str(new_id()), **found.values})
    if form.customer_name.data:
        form.propose(drafts.proposed_kind(session, user.partner_id, _read_values(form)))
    return _page(form, None)


def _read_values(form: ClaimForm) -> dict[str, Any]:
    """What a prefilled form says that the kind of deal depends on."""
    family = form.product_family.data
    return {
        "customer_name": form.customer_name.data,
        "domain": form.domain.data,
        "product_family_id": uuid.UUID(family) if family else None,
        "currency": form.currency.data,
    }


@bp.route("/deals/<uuid:deal_id>/edit", methods=["GET", "POST"])
@partners_only
def edit(deal_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Change the claim of a draft, or answer a question by completing it."""
    deal = service.get(db.session(), current_user(), deal_id)
    if deal.status not in (Status.draft, Status.returned):
        refusal = Refused(_("This registration cannot be changed now."))
        if request.method == "GET":
            raise refusal
        return _page(_form(deal), deal, refusal)
    form = _form(deal)
    if request.method == "GET":
        said = {name: getattr(deal, name) for name in service.CLAIM_FIELDS}
        form.propose(drafts.proposed_kind(db.session(), deal.partner_id, said))
        return _page(form, deal)
    return _answer(form, deal) if deal.status == Status.returned else _save(form, deal_id)


def _save(form: ClaimForm, deal_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Save a draft, or submit it; pressing twice does it once."""
    user, now = current_user(), clock.now()
    form.key.data = str(deal_id)
    known = db.session.get(Deal, deal_id)
    if known is not None and service.get(db.session(), user, deal_id).status != Status.draft:
        return redirect(url_for("deals.show", deal_id=deal_id))
    claim, is_draft = _read(form), request.form.get("then") == "draft"
    needed = [drafts.NEEDED_FIRST] if is_draft else list(drafts.ASKED)
    if not _ask_for(form, claim, needed):
        return _page(form, known)
    try:
        with write((Deal, deal_id)) as session:
            person = session.get_one(User, user.id)
            _keep(session, person, deal_id, claim, _version())
            if not is_draft:
                deal = service.get(session, person, deal_id)
                drafts.submit(session, deal, person, now)
    except (Refused, Busy) as refusal:
        return _page(form, db.session.get(Deal, deal_id), refusal)
    flash(_("Saved as a draft.") if is_draft else str(SIMPLE["submit"]))
    return redirect(url_for("deals.show", deal_id=deal_id))


def _keep(
    session: Any, person: User, deal_id: uuid.UUID, claim: Claim, version: int | None
) -> Deal:
    is_new = session.get(Deal, deal_id) is None
    deal = drafts.save(session, person, deal_id, claim, clock.now(), version)
    if is_new:
        prefill.attach(session, person, deal, request.args)
    return deal


def _answer(form: ClaimForm, deal: Deal) -> tuple[str, int] | BaseResponse:
    """Complete a claim that was sent back, and send it again."""
    user, claim = current_user(), _read(form)
    if not _ask_for(form, claim, drafts.ASKED):
        return _page(form, deal)
    note, deal_id = request.form.get("note", "")[:2000], deal.id
    try:
        with write((Deal, deal_id)) as session:
            person, fresh = session.get_one(User, user.id), service.get(session, user, deal_id)
            drafts.refuse_overwriting(fresh, _version())
            service.edit(
                session, fresh, person, drafts.with_kind(session, fresh, claim), clock.now()
            )
            fresh.version += 1
            if request.form.get("then") != "draft":
                service.move(session, fresh, person, "resubmit", clock.now(), Given(note=note))
    except (Refused, Busy) as refusal:
        return _page(form, db.session.get(Deal, deal_id), refusal)
    flash(_("Saved."))
    return redirect(url_for("deals.show", deal_id=deal_id))


# --- saving by itself -----------------------------------------------------------------------------


@bp.post("/deals/<uuid:deal_id>/draft")
@partners_only
def save_draft(deal_id: uuid.UUID) -> Response | tuple[Response, int]:
    """What is typed so far, sent by the form itself while somebody types."""
    user, form = current_user(), _form()
    if db.session.get(Deal, deal_id) is not None:
        service.get(db.session(), user, deal_id)
    claim = _read(form)
    if claim.is_empty:
        return jsonify(message="")
    try:
        with write((Deal, deal_id)) as session:
            person = session.get_one(User, user.id)
            deal = _keep(session, person, deal_id, claim, _version())
            version = deal.version
            kind = drafts.proposed_kind(session, deal.partner_id, claim.values)
    except Refused as refusal:
        return jsonify(error=str(refusal)), refusal.status
    time = clock_time(clock.now(), clock.now(), zone())
    return jsonify(
        message=_("Saved %(time)s", time=time),
        version=version,
        action=url_for("deals.edit", deal_id=deal_id),
        proposal=proposal_text(kind),
    )
