"""Pages of leads, for partners and for the vendor."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from portal import clock
from portal.accounts import service as accounts
from portal.accounts.access import current_user, signed_in, vendor_only
from portal.accounts.models import User
from portal.accounts.service import zone
from portal.content import library, sharing
from portal.content.models import ShareLink
from portal.db import db, write
from portal.errors import Busy, NotFound, Refused
from portal.formatting import sort_by_name
from portal.kept import refuse_overwriting, refuse_stale, typed_into
from portal.leads import offers, qualifying, service
from portal.leads.forms import WHAT_NAMES, LeadForm, ReasonForm, VendorLeadForm
from portal.leads.models import Lead
from portal.leads.scoring import EVENTS
from portal.leads.service import sight
from portal.leads.stages import OPEN, Source, Stage
from portal.leads.wording import MOVE_NAMES, OFFER_NAMES, SOURCE_NAMES, STAGE_NAMES, chip
from portal.paging import page_of
from portal.tables import Column, Table, csv_response

bp = Blueprint("leads", __name__)

# Instead of a partner, in an address: leads that nobody has, and of these those that the rules
# find nobody for.
NOBODY, LEFT = "none", "left"
# Moves that need nothing but a click.
SIMPLE = {
    "take": _l("It is yours. Get in touch with the customer."),
    "accept": _l("Accepted as sales-ready."),
    "reopen": _l("Open again."),
}
# Moves that need a reason.
REASONED = {
    "decline": _l("Declined. It goes to another partner."),
    "disqualify": _l("Disqualified."),
}


@bp.app_context_processor
def _words() -> dict[str, object]:
    return {
        "lead_chip": chip,
        "lead_stage_name": lambda name: STAGE_NAMES.get(name, name),
        "lead_source_name": lambda name: SOURCE_NAMES.get(name, name),
        "lead_move_name": lambda name: MOVE_NAMES.get(name, name),
        "offer_state_name": lambda name: OFFER_NAMES.get(name, name),
        "score_name": lambda name: WHAT_NAMES.get(name, name),
    }


# --- lists --------------------------------------------------------------------------------------


def _asked_for() -> dict[str, Any]:
    """The filters that the address asks for; nonsense means all."""
    stage, source = request.args.get("stage", ""), request.args.get("source", "")
    partner, partner_id = request.args.get("partner", ""), None
    try:
        partner_id = uuid.UUID(partner) if partner not in ("", NOBODY, LEFT) else None
    except ValueError:
        partner = ""
    return {
        "partner": partner,
        "stage": stage if stage in set(Stage) else "",
        "source": source if source in set(Source) else "",
        "partner_id": partner_id,
    }


def _found(session: Session, user: User, asked: dict[str, Any], left: set[uuid.UUID]) -> list[Lead]:
    """The leads that fit the filters; `left` are those that the rules find nobody for."""
    partner = asked["partner"]
    found = service.listed(
        session,
        user,
        stage=asked["stage"],
        source=asked["source"],
        partner_id=asked["partner_id"],
        unassigned=partner in (NOBODY, LEFT),
    )
    return [lead for lead in found if partner != LEFT or lead.id in left]


def _left_alone(session: Session, user: User, now: datetime) -> set[uuid.UUID]:
    return offers.left_alone(session, now) if user.is_vendor else set()


@bp.get("/leads")
@signed_in
def index() -> str:
    """A partner's leads and what is offered to it; all leads, for the vendor."""
    user, session, now, asked = current_user(), db.session(), clock.now(), _asked_for()
    left = _left_alone(session, user, now)
    page = page_of(_found(session, user, asked, left), request.args)
    context = {
        "page": page,
        "leads": [sight(user, lead) for lead in page.rows],
        "scores": qualifying.scores(session, page.rows, now),
        "asked": asked,
        "stages": STAGE_NAMES,
    }
    if not user.is_vendor:
        return render_template("leads/mine.html", offers=_offers(session, user, now), **context)
    return render_template(
        "leads/all.html",
        sources=SOURCE_NAMES,
        partners=sort_by_name(accounts.partners(session), lambda row: row.name),
        rules=qualifying.current_rules(session),
        n_left=len(left),
        **context,
    )


def _offers(session: Session, user: User, now: datetime) -> list[tuple[datetime, service.Sight]]:
    assert user.partner_id is not None
    found = offers.waiting(session, user.partner_id, now)
    return [(row.due_at, sight(user, session.get_one(Lead, row.lead_id))) for row in found]


@bp.get("/leads.csv")
@signed_in
def index_csv() -> Response:
    """The list as a file."""
    user = current_user()
    names = ("company", "contact", "email", "phone", "country", "region", "family")
    labels = (
        _("Company"), _("Contact"), _("E-mail address"), _("Telephone"), _("Country"),
        _("Region"), _("Product family"),
    )  # fmt: skip
    columns = [
        *(Column(name, label) for name, label in zip(names, labels, strict=True)),
        Column("partner", _("Partner")),
        Column("stage", _("Stage")),
        Column("source", _("Source")),
        Column("created", _("Since"), "day"),
    ]
    rows = []
    left = _left_alone(db.session(), user, clock.now())
    for lead in _found(db.session(), user, _asked_for(), left):
        seen = sight(user, lead)
        rows.append(
            {
                **{name: getattr(seen, name) for name in names},
                "partner": seen.partner,
                "stage": str(STAGE_NAMES[seen.stage]),
                "source": str(SOURCE_NAMES[seen.source]),
                "created": clock.local_day(seen.created_at, zone()),
            }
        )
    return csv_response(Table("leads", _("Leads"), columns, rows, ""))


# --- a new one ----------------------------------------------------------------------------------


@bp.route("/leads/new", methods=["GET", "POST"])
@signed_in
def new() -> tuple[str, int] | BaseResponse:
    """Write down a possible customer; from a link, with whom it is for."""
    user = current_user()
    link = _link_asked(user)
    form = _form(user, company=link.recipient.name if link and link.recipient else "")
    if not form.validate_on_submit():
        return _form_page(form, None)
    facts, to = _facts(form), form.partner.data if isinstance(form, VendorLeadForm) else ""
    more = {"share_id": link.id, "recipient_id": link.recipient_id} if link else {}
    try:
        with write() as session:
            person = session.get_one(User, user.id)
            known = service.captured_already(session, person, facts, clock.now())
            key = known.id if known else _capture(session, person, facts, to, **more).id
    except (Refused, Busy) as refusal:
        return _form_page(form, None, refusal)
    flash(_("Saved."))
    return redirect(url_for("leads.show", lead_id=key))


def _capture(session: Session, person: User, facts: dict[str, Any], to: str, **more: Any) -> Lead:
    source = Source.hand if person.is_vendor else Source.partner
    lead = service.capture(
        session, source, facts, clock.now(), user=person, partner_id=person.partner_id, **more
    )
    if to:
        offers.offer(session, lead, uuid.UUID(to), clock.now(), person)
    return lead


def _form_page(
    form: LeadForm, lead: Lead | None, refusal: Refused | Busy | None = None
) -> tuple[str, int]:
    """The form with all that was typed into it, and why it was refused."""
    user, seen = current_user(), request.form.get("seen", "")
    if lead is not None and service.may_edit(user, lead) and (refusal or not seen):
        seen = service.facts_stamp(lead)
    page = render_template(
        "leads/form.html",
        form=form,
        lead=sight(user, lead) if lead else None,
        refusal=str(refusal or ""),
        seen=seen,
    )
    if refusal is not None:
        return page, refusal.status
    return page, 400 if form.errors else 200


def _link_asked(user: User) -> ShareLink | None:
    """The partner's own link that a lead is made of."""
    text = request.args.get("share", "")
    if not text or user.partner_id is None:
        return None
    try:
        return sharing.get_own(db.session(), user.partner_id, uuid.UUID(text))
    except ValueError:
        raise NotFound(_("There is no such link.")) from None


def _form(user: User, **usual: Any) -> LeadForm:
    session = db.session()
    families = [(str(row.id), row.name) for row in library.families(session)]
    if not user.is_vendor:
        return LeadForm(families, **usual)
    known = sort_by_name(accounts.partners(session), lambda row: row.name)
    regions = sorted({row.region for row in known if row.region})
    return VendorLeadForm(families, regions, [(str(row.id), row.name) for row in known], **usual)


def _facts(form: LeadForm) -> dict[str, Any]:
    family = form.product_family.data
    return {**form.facts, "product_family_id": uuid.UUID(family) if family else None}


@bp.route("/leads/<uuid:lead_id>/edit", methods=["GET", "POST"])
@signed_in
def edit(lead_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Correct what is known of a lead."""
    user = current_user()
    lead = service.get(db.session(), user, lead_id)
    if request.method == "GET":
        service.refuse_edit(user, lead)
    known = {}
    if service.may_edit(user, lead):
        known = {name: getattr(lead, name) for name in service.FIELDS}
        known["product_family"] = str(lead.product_family_id or "")
    form = _form(user, **known)
    if isinstance(form, VendorLeadForm):
        del form.partner
    if not form.validate_on_submit():
        return _form_page(form, lead)
    facts = _facts(form)
    try:
        with write((Lead, lead_id)) as session:
            person, fresh = session.get_one(User, user.id), service.get(session, user, lead_id)
            service.refuse_edit(person, fresh)
            refuse_overwriting(request.form.get("seen", ""), service.facts_stamp(fresh))
            service.change(session, fresh, person, facts, clock.now())
    except (Refused, Busy) as refusal:
        return _form_page(form, service.get(db.session(), user, lead_id), refusal)
    flash(_("Saved."))
    return redirect(url_for("leads.show", lead_id=lead_id))


# --- one lead -----------------------------------------------------------------------------------


@bp.get("/leads/<uuid:lead_id>")
@signed_in
def show(lead_id: uuid.UUID) -> str:
    """Who it is, what it scores and why, what happened, and the next step."""
    return _page(service.get(db.session(), current_user(), lead_id))


def _page(lead: Lead, **forms: Any) -> str:
    user, session, now = current_user(), db.session(), clock.now()
    offer = service.open_offer(session, lead.id)
    context = {
        "lead": sight(user, lead),
        "moves": service.moves(session, lead, user, now),
        "score": qualifying.scores(session, [lead], now)[lead.id],
        "events": EVENTS,
        "history": service.history(session, user, lead),
        "enquiries": service.enquiries(session, user, lead),
        "may_edit": service.may_edit(user, lead),
        "may_erase": service.may_erase(user, lead),
        "is_open": lead.stage in OPEN,
        "offer": offer,
        "seen": service.stamp_of(lead, offer),
        "refusal": forms.get("refusal", ""),
        "typed": forms.get("typed", ()),
        "again": forms.get("again", ""),
        "now": now,
        "decline": forms.get("decline") or ReasonForm("decline", formdata=None),
        "disqualify": forms.get("disqualify") or ReasonForm("disqualify", formdata=None),
    }
    if not user.is_vendor:
        return render_template("leads/show_partner.html", **context)
    return render_template(
        "leads/show_vendor.html",
        offers=offers.of_lead(session, lead.id),
        partners=sort_by_name(accounts.partners(session), lambda row: row.name),
        **context,
    )


def _refused(
    lead_id: uuid.UUID, refusal: Refused | Busy, name: str, form: ReasonForm | None = None
) -> tuple[str, int]:
    """The lead as it is now, why the step `name` was refused, and all that was typed for it."""
    user, session = current_user(), db.session()
    lead = service.get(session, user, lead_id)
    is_there = name in service.moves(session, lead, user, clock.now())
    typed = [] if is_there or form is None else typed_into(form)
    forms = {} if form is None else {name: form}
    page = _page(lead, refusal=str(refusal), again=name, typed=typed, **forms)
    return page, refusal.status


def _refuse_stale(session: Session, lead: Lead) -> None:
    current = service.stamp_of(lead, service.open_offer(session, lead.id))
    refuse_stale(request.form.get("seen", ""), current)


def _do(lead_id: uuid.UUID, name: str, **given: str) -> None:
    user = current_user()
    with write((Lead, lead_id)) as session:
        person, lead = session.get_one(User, user.id), service.get(session, user, lead_id)
        _refuse_stale(session, lead)
        service.move(session, lead, person, name, clock.now(), **given)  # type: ignore[arg-type]


def _shown(lead_id: uuid.UUID) -> BaseResponse:
    return redirect(url_for("leads.show", lead_id=lead_id))


@bp.post("/leads/<uuid:lead_id>/move/<name>")
@signed_in
def move(lead_id: uuid.UUID, name: str) -> tuple[str, int] | BaseResponse:
    """Make a move that needs nothing but a click."""
    if name not in SIMPLE:
        service.get(db.session(), current_user(), lead_id)
        raise NotFound(_("There is no such step."))
    try:
        _do(lead_id, name)
    except (Refused, Busy) as refusal:
        return _refused(lead_id, refusal, name)
    flash(str(SIMPLE[name]))
    return _shown(lead_id)


@bp.post("/leads/<uuid:lead_id>/give-up/<name>")
@signed_in
def give_up(lead_id: uuid.UUID, name: str) -> tuple[str, int] | BaseResponse:
    """Decline an offer, or disqualify a lead, with the reason."""
    lead = service.get(db.session(), current_user(), lead_id)
    if name not in REASONED:
        raise NotFound(_("There is no such step."))
    form = ReasonForm(name)
    if form.validate() and not form.reason_code.data:
        form.reason_code.errors = [_("Please choose a reason.")]
    if form.errors:
        return _page(lead, **{name: form}), 400
    try:
        _do(lead_id, name, reason_code=form.reason_code.data, note=form.note.data)
    except (Refused, Busy) as refusal:
        return _refused(lead_id, refusal, name, form)
    flash(str(REASONED[name]))
    return redirect(url_for("leads.index")) if name == "decline" else _shown(lead_id)


@bp.post("/leads/<uuid:lead_id>/offer")
@vendor_only
def offer(lead_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Offer a lead to a partner, or to the one that the rules find next."""
    user, chosen = current_user(), request.form.get("partner", "")
    try:
        partner_id = uuid.UUID(chosen) if chosen else None
    except ValueError:
        raise NotFound(_("There is no such partner.")) from None
    try:
        with write((Lead, lead_id)) as session:
            person, lead = session.get_one(User, user.id), service.get(session, user, lead_id)
            _refuse_stale(session, lead)
            if partner_id is not None:
                made = offers.offer(session, lead, partner_id, clock.now(), person)
            else:
                made = offers.offer_or_refuse(session, lead, clock.now(), person)
            name = made.partner.name
    except (Refused, Busy) as refusal:
        return _refused(lead_id, refusal, "offer")
    flash(_("Offered to %(partner)s.", partner=name))
    return _shown(lead_id)


@bp.post("/leads/<uuid:lead_id>/erase")
@signed_in
def erase(lead_id: uuid.UUID) -> BaseResponse:
    """Take the customer's name, address and words out of a lead, as they may ask for."""
    user = current_user()
    service.get(db.session(), user, lead_id)
    if request.form.get("sure") != "1":
        raise Refused(_("Tick the box first: what is erased cannot be brought back."))
    with write((Lead, lead_id)) as session:
        lead = service.get(session, user, lead_id)
        if not service.may_erase(user, lead):
            raise Refused(_("You cannot erase who this is."))
        service.erase(session, [lead], clock.now())
    flash(_("Erased. The lead still counts, without the person."))
    return _shown(lead_id)
