"""Pages of deals, for partners and for the vendor."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from werkzeug.wrappers import Response as BaseResponse

from portal import clock
from portal.accounts.access import current_user, signed_in, vendor_only
from portal.accounts.models import User
from portal.accounts.service import zone
from portal.choices import options
from portal.content import sharing
from portal.content.models import ProductFamily
from portal.db import db, write
from portal.deals import (
    customers,
    drafts,
    files,
    helped,
    metrics,
    promise,
    reading,
    renewals,
    service,
    silence,
    teaming,
    timeline,
)
from portal.deals.evidence import BAND_KINDS, BAND_NAMES, evidence
from portal.deals.forms import (
    TYPE_NAMES,
    ApproveForm,
    AskForm,
    LostForm,
    RejectForm,
    WonForm,
    sensible,
)
from portal.deals.models import Customer, Deal, DealHistory
from portal.deals.pipeline import Status, missing
from portal.deals.reasons import LABELS, LOSS_NAMES
from portal.deals.record import Given
from portal.deals.wording import (
    MOVE_NAMES,
    STAGE_NAMES,
    STATUS_NAMES,
    chip,
    customer_of,
    no_news,
    sentence,
)
from portal.errors import Busy, NotFound, Refused
from portal.formatting import money
from portal.kept import refuse_stale, typed_into

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
        reads = current_user().is_vendor
        return sentence(deal, protection, clock.now(), zone(), to_vendor=reads)

    def deal_chip(deal: Deal, protection: Any) -> Any:
        return chip(deal, protection, clock.now(), zone())

    def deal_silence(since: datetime) -> str:
        return no_news(since, clock.now(), zone())

    return {
        "customer_of": customer_of,
        "deal_silence": deal_silence,
        "deal_sentence": deal_sentence,
        "deal_chip": deal_chip,
        "status_name": lambda name: STATUS_NAMES.get(name, name),
        "stage_name": lambda name: STAGE_NAMES.get(name, name),
        "move_name": lambda name: MOVE_NAMES.get(name, name),
        "band_names": BAND_NAMES,
        "band_kinds": BAND_KINDS,
    }


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
        "entries": timeline.of(session, user, deal, history),
        "because": _because(deal, history),
        "files": files.of_deal(session, deal.id),
        "largest_file": files.largest() // 1024**2,
        "reading": reading.of_deal(session, deal),
        "helped": helped.titles(session, deal.id),
        "protection": metrics.protection_of(session, [deal.id]).get(deal.id),
        "moves": service.moves(session, deal, user, now),
        "silent": silence.silent(session, now, [deal.id]).get(deal.id),
        "type_names": TYPE_NAMES,
        "loss_names": LOSS_NAMES,
        "now": now,
        "seen": service.stamp_of(deal),
        "refusal": forms.get("refusal", ""),
        "typed": forms.get("typed", ()),
        "again": forms.get("again", ""),
        "said": forms.get("said", ""),
        "comment": forms.get("comment", ""),
        "won_form": forms.get("won_form") or won_form(deal),
        "lost_form": forms.get("lost_form") or LostForm(formdata=None),
    }
    if not user.is_vendor:
        return render_template(
            "deals/show_partner.html",
            links=sharing.links_of_deal(session, deal.id),
            helped_choices=helped.choices(session, user, deal, now),
            pursued_names=helped.PURSUED,
            promise=promise.for_partner(session, user, now),
            may_renew=renewals.is_near(session, deal, now),
            **context,
        )
    return render_template(
        "deals/show_vendor.html",
        notes=service.notes(session, deal.id),
        extension_reason=_extension_reason(history),
        reason_names=LABELS,
        pursued_names=helped.PURSUED,
        ask_form=forms.get("ask_form") or AskForm(formdata=None),
        reject_form=forms.get("reject_form") or RejectForm(formdata=None),
        approve_form=forms.get("approve_form") or _approve_form(deal, formdata=None),
        found=evidence(session, [deal])[deal.id],
        teamed=teaming.partners_of(session, deal.id),
        **context,
    )


def _because(deal: Deal, history: list[DealHistory]) -> str:
    """The vendor's words that brought a deal to where it is: its question, why it said no."""
    if deal.status not in (Status.returned, Status.rejected, Status.revoked):
        return ""
    return next((row.sentence for row in reversed(history) if row.to_status == deal.status), "")


def _extension_reason(history: list[DealHistory]) -> str:
    asked = [row.note for row in history if row.move == "ask_extension"]
    return asked[-1] if asked else ""


def won_form(deal: Deal) -> WonForm:
    """The order as it is reported, or as it was expected."""
    minor = deal.won_amount_minor or deal.amount_minor
    day = clock.local_day(deal.won_at or clock.now(), zone())
    return WonForm(
        formdata=None,
        amount="" if minor is None else f"{minor / 100:.2f}",
        currency=deal.won_currency or deal.currency,
        won_on=day,
        order_number=deal.order_number,
        contract_ends=deal.contract_ends,
    )


NEW_CUSTOMER = "new"


def _approve_form(deal: Deal, **kwargs: Any) -> ApproveForm:
    known = service.customers_like(db.session(), deal)
    form = ApproveForm(**kwargs)
    form.deal_type.data = form.deal_type.data or deal.deal_type
    pairs = [
        *((str(row.id), _customer_choice(deal, row)) for row in known),
        (NEW_CUSTOMER, _("A new customer: %(name)s", name=deal.customer_name)),
    ]
    form.customer.choices = options(pairs)
    form.customer.data = form.customer.data or pairs[0][0]
    return form


def _customer_choice(deal: Deal, customer: Customer) -> str:
    """A customer as the reviewer chooses among them, with what kind of deal that makes it."""
    kind = drafts.kind_by_all_orders(db.session(), deal, customer.id)
    said = _("By all our orders: %(kind)s", kind=TYPE_NAMES[kind])
    return f"{customer.name}, {customer.country} ({said})"


def refused_page(
    deal_id: uuid.UUID,
    refusal: Refused | Busy,
    name: str,
    typed: list[tuple[str, str]],
    **forms: Any,
) -> tuple[str, int]:
    """The deal as it is now, why the step `name` was refused, and all that was typed for it: in
    its form, or beside it where there is no such step any more."""
    user, session = current_user(), db.session()
    deal = service.get(session, user, deal_id)
    is_there = name in service.moves(session, deal, user, clock.now())
    kept = [] if is_there else typed
    return _page(deal, refusal=str(refusal), again=name, typed=kept, **forms), refusal.status


def written(text: str) -> list[tuple[str, str]]:
    """A few words that were typed, if any."""
    return [(_("What you wrote"), text)] if text else []


def _do(
    deal_id: uuid.UUID,
    name: str,
    given: Given | None = None,
    lock: list[Any] | None = None,
    holding: uuid.UUID | None = None,
) -> None:
    user = current_user()
    with write((Deal, deal_id), *(lock or []), holding=holding) as session:
        person, deal = session.get_one(User, user.id), service.get(session, user, deal_id)
        refuse_stale(request.form.get("seen", ""), service.stamp_of(deal))
        service.move(session, deal, person, name, clock.now(), given)


def _submit(deal_id: uuid.UUID) -> None:
    user = current_user()
    with write((Deal, deal_id)) as session:
        person, deal = session.get_one(User, user.id), service.get(session, user, deal_id)
        drafts.submit(session, deal, person, clock.now())


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
    if name == "submit":
        _submit(deal_id)
    else:
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
    try:
        _do(deal_id, "ask", Given(sentence=form.sentence.data))
    except (Refused, Busy) as refusal:
        return refused_page(deal_id, refusal, "ask", typed_into(form), ask_form=form)
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
    lock = customers.locks(db.session(), deal, customer_id)
    given = Given(
        customer_id=customer_id,
        new_customer=customer_id is None,
        confirmation=form.confirmation.data or "",
        deal_type=form.deal_type.data or "",
    )
    now = clock.now()
    first = "approve_first" in service.moves(db.session(), deal, current_user(), now)
    name = "approve_first" if first else "approve"
    try:
        _do(deal_id, name, given, lock, holding=customers.WHO_IS_WHO)
    except (Refused, Busy) as refusal:
        return refused_page(deal_id, refusal, name, typed_into(form), approve_form=form)
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
    try:
        _do(deal_id, "reject", given)
    except (Refused, Busy) as refusal:
        return refused_page(deal_id, refusal, "reject", typed_into(form), reject_form=form)
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
    sensible(form.contract_ends.data, form.contract_ends)
    if form.amount.minor is None and not form.amount.errors:
        form.amount.errors = [_(missing("won_amount"))]
    if form.won_on.data is None and not form.won_on.errors:
        form.won_on.errors = [_(missing("won_on"))]
    if form.errors:
        return _page(deal, won_form=form), 400
    given = Given(
        won_amount=form.amount.minor,
        won_currency=form.currency.data,
        won_on=form.won_on.data,
        order_number=form.order_number.data or "",
        contract_ends=form.contract_ends.data,
    )
    name = "confirm_win" if user.is_vendor else "report_won"
    try:
        _do(deal_id, name, given)
    except (Refused, Busy) as refusal:
        return refused_page(deal_id, refusal, name, typed_into(form), won_form=form)
    if user.is_vendor:
        flash(_("Confirmed: %(value)s.", value=money(given.won_amount, given.won_currency)))
    else:
        flash(_("Congratulations. The vendor confirms it."))
    if user.is_vendor and request.form.get("then") == "wins":
        return redirect(url_for("deals.wins"))
    return _shown(deal_id)


@bp.post("/deals/<uuid:deal_id>/say/<name>")
@signed_in
def say(deal_id: uuid.UUID, name: str) -> tuple[str, int] | BaseResponse:
    """Make a move that needs a few words."""
    if name not in WORDED:
        service.get(db.session(), current_user(), deal_id)
        raise NotFound(_("There is no such step."))
    field, done = WORDED[name]
    text = request.form.get("text", "").strip()[:2000]
    try:
        _do(deal_id, name, Given(note=text) if field == "note" else Given(sentence=text))
    except (Refused, Busy) as refusal:
        return refused_page(deal_id, refusal, name, written(text), said=text)
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
    try:
        _do(deal_id, "lose", Given(loss_reason=form.loss_reason.data))
    except (Refused, Busy) as refusal:
        return refused_page(deal_id, refusal, "lose", typed_into(form), lost_form=form)
    flash(_("Saved. Thank you for saying why."))
    return _shown(deal_id)


@bp.post("/deals/<uuid:deal_id>/notes")
@vendor_only
def add_note(deal_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Write down something for the vendor's own eyes."""
    user, text = current_user(), request.form.get("text", "")[:4000]
    try:
        with write((Deal, deal_id)) as session:
            deal = service.get(session, user, deal_id)
            service.add_note(session, deal, session.get_one(User, user.id), text, clock.now())
    except (Refused, Busy) as refusal:
        return refused_page(deal_id, refusal, "", written(text))
    return _shown(deal_id)
