"""Pages of deals, for partners and for the vendor."""

from __future__ import annotations

import uuid
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from sqlalchemy.orm import joinedload
from werkzeug.wrappers import Response as BaseResponse

from portal import clock
from portal.accounts.access import current_user, partners_only, signed_in, vendor_only
from portal.accounts.models import User
from portal.accounts.service import zone
from portal.choices import options
from portal.content import library
from portal.content.models import ProductFamily
from portal.db import db, write
from portal.deals import metrics, policy, prefill, service
from portal.deals.forms import (
    TYPE_NAMES,
    ApproveForm,
    AskForm,
    ClaimForm,
    LostForm,
    RejectForm,
    WonForm,
    sensible,
)
from portal.deals.models import Customer, Deal, DealHistory
from portal.deals.pipeline import CLAIM, Status, missing
from portal.deals.reasons import LABELS, LOSS_NAMES
from portal.deals.service import Given
from portal.deals.wording import (
    MOVE_NAMES,
    STAGE_NAMES,
    STATUS_NAMES,
    chip,
    customer_of,
    sentence,
)
from portal.errors import NotFound, Refused
from portal.formatting import money
from portal.paging import page_of
from portal.tables import Column, Table, csv_response

bp = Blueprint("deals", __name__)
SIMPLE = {
    "submit": _l("Submitted. You will have an answer by the time shown here."),
    "resubmit": _l("Sent back to the vendor."),
    "withdraw": _l("Withdrawn."),
    "to_qualified": _l("Saved."),
    "to_proposal": _l("Saved."),
    "to_negotiation": _l("Saved."),
    "take_in_review": _l("In review. The partner sees that you have seen it."),
    "expire": _l("Expired."),
    "extend": _l("Extended. The partner has been told."),
    "drop_revocation": _l("The proposal is dropped."),
    "revoke": _l("The approval is withdrawn. The partner has been told."),
}
# Moves that need a few words: which of `Given` they are, and what is said when it is done.
WORDED = {
    "ask_extension": ("note", _l("Asked. You will hear from the vendor.")),
    "refuse_extension": ("sentence", _l("The partner has been told.")),
    "propose_revocation": ("sentence", _l("Proposed. A colleague has to confirm it.")),
    "question_win": ("sentence", _l("The partner has your question.")),
}


@bp.app_context_processor
def _words() -> dict[str, object]:
    def deal_sentence(deal: Deal, protection: Any) -> str:
        return sentence(deal, protection, clock.now(), zone())

    def deal_chip(deal: Deal, protection: Any) -> Any:
        return chip(deal, protection, clock.now(), zone())

    return {
        "customer_of": customer_of,
        "deal_sentence": deal_sentence,
        "deal_chip": deal_chip,
        "status_name": lambda name: STATUS_NAMES.get(name, name),
        "stage_name": lambda name: STAGE_NAMES.get(name, name),
        "move_name": lambda name: MOVE_NAMES.get(name, name),
    }


# --- lists --------------------------------------------------------------------------------------


def listed(user: User, status: str) -> list[Deal]:
    """The deals that this person may see, the newest first."""
    query = select(Deal).options(
        joinedload(Deal.partner), joinedload(Deal.product_family), joinedload(Deal.seen_by)
    )
    if user.is_vendor:
        query = query.where(Deal.status != Status.draft)
    else:
        query = query.where(Deal.partner_id == user.partner_id)
    if status:
        query = query.where(Deal.status == status)
    return list(db.session.scalars(query.order_by(Deal.created_at.desc(), Deal.id.desc())))


def status_asked() -> str:
    """The status that the address asks for; nothing for all."""
    wanted = request.args.get("status", "")
    return wanted if wanted in set(Status) else ""


@bp.get("/deals")
@signed_in
def index() -> str:
    """A partner's deals, or the vendor's queue and all deals."""
    user, status = current_user(), status_asked()
    page = page_of(listed(user, status), request.args)
    protections = metrics.protection_of(db.session(), [deal.id for deal in page.rows])
    context = {"page": page, "deals": page.rows, "protections": protections, "status": status}
    if not user.is_vendor:
        return render_template("deals/mine.html", statuses=STATUS_NAMES, **context)
    return render_template(
        "deals/queue.html",
        statuses={key: name for key, name in STATUS_NAMES.items() if key != Status.draft},
        waiting=metrics.needs_decision(db.session(), 50),
        wins=metrics.wins_to_confirm(db.session(), 50),
        now=clock.now(),
        **context,
    )


@bp.get("/deals.csv")
@signed_in
def index_csv() -> Response:
    """The list as a file."""
    user = current_user()
    columns = [
        Column("reference", _("Reference")),
        Column("customer", _("Customer")),
        Column("family", _("Product family")),
        Column("kind", _("Kind of deal")),
        Column("amount", _("Expected order"), "money"),
        Column("status", _("Status")),
        Column("stage", _("Stage")),
        Column("submitted", _("Submitted"), "day"),
        Column("won", _("Order"), "money"),
    ]
    if user.is_vendor:
        columns.insert(1, Column("partner", _("Partner")))
    rows = [_csv_row(deal) for deal in listed(user, status_asked())]
    return csv_response(Table("deals", _("Deals"), columns, rows, ""))


def _csv_row(deal: Deal) -> dict[str, Any]:
    won = (deal.won_amount_minor, deal.won_currency) if deal.won_amount_minor else None
    return {
        "reference": deal.reference,
        "partner": deal.partner.name,
        "customer": deal.customer_name,
        "family": deal.product_family.name if deal.product_family else "",
        "kind": str(TYPE_NAMES.get(deal.deal_type, "")),
        "amount": (deal.amount_minor, deal.currency),
        "status": str(STATUS_NAMES[deal.status]),
        "stage": str(STAGE_NAMES[deal.stage]) if deal.stage else "",
        "submitted": clock.local_day(deal.submitted_at, zone()) if deal.submitted_at else None,
        "won": won,
    }


# --- the claim ----------------------------------------------------------------------------------


def _claim_form(deal: Deal | None = None) -> ClaimForm:
    families = [(str(row.id), row.name) for row in library.families(db.session())]
    if deal is None:
        return ClaimForm(families, **_known_already())
    amount = "" if deal.amount_minor is None else f"{deal.amount_minor / 100:.2f}"
    family = str(deal.product_family_id or "")
    return ClaimForm(families, obj=deal, amount=amount, product_family=family)


def _known_already() -> dict[str, Any]:
    """What a new claim begins with: from a lead, or the customer that the address names."""
    today, lead_id = clock.local_day(clock.now(), zone()), _lead_asked()
    if lead_id is None:
        return {"customer_name": request.args.get("customer", "")[:200], "first_contact": today}
    return prefill.from_lead(db.session(), current_user(), lead_id)


def _lead_asked() -> uuid.UUID | None:
    """The lead that the address asks to make a deal of."""
    text = request.args.get("lead", "")
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        raise NotFound(_("There is no such lead.")) from None


def _claim(form: ClaimForm) -> dict[str, Any]:
    family = form.product_family.data
    return {
        "customer_name": " ".join((form.customer_name.data or "").split()),
        "domain": (form.domain.data or "").strip().lower(),
        "country": form.country.data or "",
        "postcode": form.postcode.data or "",
        "contact": form.contact.data or "",
        "product_family_id": uuid.UUID(family) if family else None,
        "deal_type": form.deal_type.data or "",
        "expected_close": form.expected_close.data,
        "amount_minor": form.amount.minor,
        "currency": form.currency.data or "",
        "first_contact": form.first_contact.data,
    }


_FIELD_OF = {"product_family_id": "product_family", "amount_minor": "amount"}


def _is_complete(form: ClaimForm, needed: tuple[str, ...]) -> bool:
    """Whether the form can be used; what is missing is said at its field."""
    valid: bool = form.validate_on_submit()
    for day in (form.expected_close, form.first_contact):
        sensible(day.data, day)
    claim = _claim(form)
    for name in needed:
        field = form[_FIELD_OF.get(name, name)]
        if claim[name] in (None, "") and not field.errors:
            field.errors = [_(missing(name))]
    return valid and not any(field.errors for field in form)


def _needed(deal: Deal | None) -> tuple[str, ...]:
    if request.form.get("then") == "draft" and (deal is None or deal.status == Status.draft):
        return ("customer_name",)
    return CLAIM


@bp.route("/deals/new", methods=["GET", "POST"])
@partners_only
def new() -> tuple[str, int] | BaseResponse:
    """Claim a deal in a minute."""
    user, form = current_user(), _claim_form()
    if request.method == "GET" or not _is_complete(form, _needed(None)):
        return _form_page(form, None)
    then, claim = request.form.get("then", "submit"), _claim(form)
    with write() as session:
        person = session.get_one(User, user.id)
        deal = service.start(session, person, claim, clock.now(), _lead_asked())
        if then != "draft":
            service.move(session, deal, person, "submit", clock.now())
        key = deal.id
    flash(_("Saved as a draft.") if then == "draft" else str(SIMPLE["submit"]))
    return redirect(url_for("deals.show", deal_id=key))


def _form_page(form: ClaimForm, deal: Deal | None) -> tuple[str, int]:
    now = clock.now()
    rules = service.current_policy(db.session(), now)
    page = render_template(
        "deals/form.html",
        form=form,
        deal=deal,
        due=policy.decision_due(now, rules.terms, zone()),
        rules=rules,
    )
    return page, 400 if form.errors else 200


@bp.route("/deals/<uuid:deal_id>/edit", methods=["GET", "POST"])
@partners_only
def edit(deal_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Change the claim of a draft, or answer a question by completing it."""
    user = current_user()
    deal = service.get(db.session(), user, deal_id)
    if deal.status not in (Status.draft, Status.returned):
        raise Refused(_("This registration cannot be changed now."))
    form = _claim_form(deal)
    if request.method == "GET" or not _is_complete(form, _needed(deal)):
        return _form_page(form, deal)
    then, claim = request.form.get("then", "submit"), _claim(form)
    note = request.form.get("note", "")[:2000]
    with write((Deal, deal_id)) as session:
        person, fresh = session.get_one(User, user.id), service.get(session, user, deal_id)
        service.edit(session, fresh, person, claim, clock.now())
        if then != "draft":
            name = "submit" if fresh.status == Status.draft else "resubmit"
            service.move(session, fresh, person, name, clock.now(), Given(note=note))
    flash(_("Saved."))
    return redirect(url_for("deals.show", deal_id=deal_id))


# --- one deal -----------------------------------------------------------------------------------


@bp.get("/deals/<uuid:deal_id>")
@signed_in
def show(deal_id: uuid.UUID) -> str:
    """Where it stands, the next step, and everything that happened."""
    return _page(service.get(db.session(), current_user(), deal_id))


def _page(deal: Deal, **forms: Any) -> str:
    user, session, now = current_user(), db.session(), clock.now()
    history = service.history_for(session, user, deal.id)
    context = {
        "deal": deal,
        "history": history,
        "protection": metrics.protection_of(session, [deal.id]).get(deal.id),
        "moves": service.moves(session, deal, user, now),
        "type_names": TYPE_NAMES,
        "loss_names": LOSS_NAMES,
        "now": now,
        "won_form": forms.get("won_form") or _won_form(deal),
        "lost_form": forms.get("lost_form") or LostForm(formdata=None),
    }
    if not user.is_vendor:
        return render_template("deals/show_partner.html", **context)
    return render_template(
        "deals/show_vendor.html",
        notes=service.notes(session, deal.id),
        extension_reason=_extension_reason(history),
        reason_names=LABELS,
        ask_form=forms.get("ask_form") or AskForm(formdata=None),
        reject_form=forms.get("reject_form") or RejectForm(formdata=None),
        approve_form=forms.get("approve_form") or _approve_form(deal, formdata=None),
        **context,
    )


def _extension_reason(history: list[DealHistory]) -> str:
    asked = [row.note for row in history if row.move == "ask_extension"]
    return asked[-1] if asked else ""


def _won_form(deal: Deal) -> WonForm:
    minor = deal.won_amount_minor or deal.amount_minor
    day = clock.local_day(deal.won_at or clock.now(), zone())
    return WonForm(
        formdata=None,
        amount="" if minor is None else f"{minor / 100:.2f}",
        currency=deal.won_currency or deal.currency,
        won_on=day,
    )


NEW_CUSTOMER = "new"


def _approve_form(deal: Deal, **kwargs: Any) -> ApproveForm:
    known = service.customers_like(db.session(), deal)
    form = ApproveForm(**kwargs)
    pairs = [
        *((str(row.id), f"{row.name}, {row.country}") for row in known),
        (NEW_CUSTOMER, _("A new customer: %(name)s", name=deal.customer_name)),
    ]
    form.customer.choices = options(pairs)
    form.customer.data = form.customer.data or pairs[0][0]
    return form


def _do(
    deal_id: uuid.UUID, name: str, given: Given | None = None, lock: list[Any] | None = None
) -> None:
    user = current_user()
    with write((Deal, deal_id), *(lock or [])) as session:
        person, deal = session.get_one(User, user.id), service.get(session, user, deal_id)
        service.move(session, deal, person, name, clock.now(), given)


def _family_lock(deal_id: uuid.UUID) -> list[Any]:
    """Whatever reserves a customer for a family waits for each other: so no two of them overlap."""
    deal = service.get(db.session(), current_user(), deal_id)
    return [(ProductFamily, deal.product_family_id)]


def _shown(deal_id: uuid.UUID) -> BaseResponse:
    return redirect(url_for("deals.show", deal_id=deal_id))


@bp.post("/deals/<uuid:deal_id>/move/<name>")
@signed_in
def move(deal_id: uuid.UUID, name: str) -> BaseResponse:
    """Make a move that needs nothing but a click."""
    if name not in SIMPLE:
        service.get(db.session(), current_user(), deal_id)
        raise NotFound(_("There is no such step."))
    _do(deal_id, name, lock=_family_lock(deal_id) if name == "extend" else None)
    flash(str(SIMPLE[name]))
    return _shown(deal_id)


@bp.post("/deals/<uuid:deal_id>/ask")
@vendor_only
def ask(deal_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Ask the partner for more."""
    deal, form = service.get(db.session(), current_user(), deal_id), AskForm()
    if not form.validate() or not (form.sentence.data or "").strip():
        form.sentence.errors = form.sentence.errors or [_(missing("sentence"))]
        return _page(deal, ask_form=form), 400
    _do(deal_id, "ask", Given(sentence=form.sentence.data))
    flash(_("The partner has your question."))
    return _shown(deal_id)


@bp.post("/deals/<uuid:deal_id>/approve")
@vendor_only
def approve(deal_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Accept the claim and reserve the customer."""
    deal = service.get(db.session(), current_user(), deal_id)
    form = _approve_form(deal)
    if not form.validate():
        return _page(deal, approve_form=form), 400
    chosen = form.customer.data
    customer_id = None if chosen == NEW_CUSTOMER else uuid.UUID(chosen)
    lock = _family_lock(deal_id)
    lock += [(Customer, customer_id)] if customer_id else []
    given = Given(customer_id=customer_id, new_customer=customer_id is None)
    now = clock.now()
    first = "approve_first" in service.moves(db.session(), deal, current_user(), now)
    _do(deal_id, "approve_first" if first else "approve", given, lock)
    flash(
        _("Approved by you. A colleague has to approve it, too.")
        if first
        else _("Approved. The partner has been told.")
    )
    return _shown(deal_id)


@bp.post("/deals/<uuid:deal_id>/reject")
@vendor_only
def reject(deal_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Refuse the claim, with a reason."""
    deal, form = service.get(db.session(), current_user(), deal_id), RejectForm()
    if form.validate() and not form.reason_code.data:
        form.reason_code.errors = [_(missing("reason_code"))]
    if form.reason_code.data == "other" and not (form.sentence.data or "").strip():
        form.sentence.errors = [_("Please write a sentence for the partner.")]
    if form.errors:
        return _page(deal, reject_form=form), 400
    given = Given(reason_code=form.reason_code.data, sentence=form.sentence.data or "")
    _do(deal_id, "reject", given)
    flash(_("Rejected. The partner has been told."))
    return _shown(deal_id)


@bp.post("/deals/<uuid:deal_id>/won")
@signed_in
def won(deal_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """A partner reports the order; the vendor confirms it."""
    user = current_user()
    deal, form = service.get(db.session(), user, deal_id), WonForm()
    form.validate()
    sensible(form.won_on.data, form.won_on)
    if form.amount.minor is None and not form.amount.errors:
        form.amount.errors = [_(missing("won_amount"))]
    if form.won_on.data is None and not form.won_on.errors:
        form.won_on.errors = [_(missing("won_on"))]
    if form.errors:
        return _page(deal, won_form=form), 400
    given = Given(
        won_amount=form.amount.minor, won_currency=form.currency.data, won_on=form.won_on.data
    )
    _do(deal_id, "confirm_win" if user.is_vendor else "report_won", given)
    if user.is_vendor:
        flash(_("Confirmed: %(value)s.", value=money(given.won_amount, given.won_currency)))
    else:
        flash(_("Congratulations. The vendor confirms it."))
    return _shown(deal_id)


@bp.post("/deals/<uuid:deal_id>/say/<name>")
@signed_in
def say(deal_id: uuid.UUID, name: str) -> BaseResponse:
    """Make a move that needs a few words."""
    if name not in WORDED:
        service.get(db.session(), current_user(), deal_id)
        raise NotFound(_("There is no such step."))
    field, done = WORDED[name]
    text = request.form.get("text", "").strip()[:2000]
    _do(deal_id, name, Given(note=text) if field == "note" else Given(sentence=text))
    flash(str(done))
    return _shown(deal_id)


@bp.post("/deals/<uuid:deal_id>/lost")
@signed_in
def lost(deal_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """The deal is lost, for a reason."""
    deal, form = service.get(db.session(), current_user(), deal_id), LostForm()
    if not form.validate() or not form.loss_reason.data:
        form.loss_reason.errors = form.loss_reason.errors or [_(missing("loss_reason"))]
        return _page(deal, lost_form=form), 400
    _do(deal_id, "lose", Given(loss_reason=form.loss_reason.data))
    flash(_("Saved. Thank you for saying why."))
    return _shown(deal_id)


@bp.post("/deals/<uuid:deal_id>/notes")
@vendor_only
def add_note(deal_id: uuid.UUID) -> BaseResponse:
    """Write down something for the vendor's own eyes."""
    user, text = current_user(), request.form.get("text", "")[:4000]
    with write((Deal, deal_id)) as session:
        deal = service.get(session, user, deal_id)
        service.add_note(session, deal, session.get_one(User, user.id), text, clock.now())
    return _shown(deal_id)
