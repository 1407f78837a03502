"""Pages for signing in, for one's own account, and for people."""

from __future__ import annotations

import uuid

from flask import (
    Blueprint,
    current_app,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext as _
from sqlalchemy import select
from werkzeug.wrappers import Response

from portal import mail
from portal.accounts import service
from portal.accounts.access import (
    current_user,
    local_path,
    partner_admins_and_vendor,
    public,
    signed_in,
    signed_in_user,
)
from portal.accounts.forms import (
    CodeForm,
    InviteForm,
    NewPasswordForm,
    SignInForm,
    WelcomeForm,
)
from portal.accounts.models import Partner, Role, User
from portal.accounts.sessions import COOKIE, set_cookie, sign_in, sign_out
from portal.choices import options
from portal.clock import now
from portal.db import db, write
from portal.errors import NotFound, Refused
from portal.formatting import sort_by_name, sort_key
from portal.paging import page_of
from portal.security import hash_password, verify_password

bp = Blueprint("accounts", __name__)

DEMO_PEOPLE = {
    "partner": "lena.kuehn@kuehn-technik.example",
    "manager": "anna.keller@nordwerk.example",
    "admin": "admin@nordwerk.example",
}


def role_name(role: str) -> str:
    """A role as people say it."""
    return {
        Role.partner_user: _("Partner"),
        Role.partner_admin: _("Partner admin"),
        Role.channel_manager: _("Channel manager"),
        Role.admin: _("Administrator"),
    }[Role(role)]


def _sign_in_page(form: SignInForm | None = None) -> tuple[str, int]:
    wanted = local_path(request.values.get("next")) or ""
    row = service.installation()
    page = render_template(
        "accounts/sign_in.html",
        form=form or SignInForm(next=wanted, email=request.args.get("email", "")),
        is_demo=row is not None and row.demo,
        next=wanted,
    )
    return page, 400 if form else 200


def _arrive(user: User) -> Response:
    wanted = local_path(request.values.get("next")) or url_for("reports.home")
    flash(_("Welcome, %(name)s.", name=user.name.split()[0]))
    return sign_in(user, redirect(wanted))


@bp.get("/sign-in", endpoint="sign_in")
@public
def sign_in_page() -> tuple[str, int] | Response:
    """Where everyone comes in."""
    if signed_in_user() is not None:
        return redirect(local_path(request.args.get("next")) or url_for("reports.home"))
    return _sign_in_page()


@bp.post("/sign-in")
@public
def submit_sign_in() -> tuple[str, int] | Response:
    """Sign in with the password, or have a code sent; Enter does what was filled in."""
    form = SignInForm()
    if not form.validate_on_submit():
        return _sign_in_page(form)
    way = request.form.get("way", "")
    if way == "code" or (way != "password" and not form.password.data):
        return _send_code(form)
    return _check_password(form)


def _send_code(form: SignInForm) -> Response:
    """The answer is the same whether the address is known or not."""
    with write() as session:
        allowed = service.count_attempt(session, form.email.data, _network(), now())
        user = service.user_by_email(session, form.email.data)
        if allowed and user is not None:
            mail.queue(
                session,
                message="sign_in_code",
                user_id=user.id,
                params={"next": local_path(form.next.data) or ""},
                expires_at=now() + service.CODE_LIFE,
            )
    service.refuse_flood(allowed)
    return redirect(
        url_for("accounts.enter_code", email=form.email.data, next=form.next.data or None)
    )


def _check_password(form: SignInForm) -> tuple[str, int] | Response:
    if not form.password.data:
        form.password.errors = [_("Enter your password, or have a code sent.")]
        return _sign_in_page(form)
    with write() as session:
        allowed = service.count_attempt(session, form.email.data, _network(), now())
    service.refuse_flood(allowed)
    user = service.user_by_email(db.session(), form.email.data)
    stored = user.password_hash if user else None
    db.session.rollback()
    if not verify_password(stored, form.password.data) or user is None:
        form.password.errors = [_("Address and password do not fit. Try again or use a code.")]
        return _sign_in_page(form)
    return _arrive(user)


@bp.route("/sign-in/enter", methods=["GET", "POST"])
@public
def enter_code() -> tuple[str, int] | Response:
    """Enter the code that came by mail."""
    form = CodeForm(
        email=request.values.get("email", ""), next=local_path(request.values.get("next")) or ""
    )
    if form.validate_on_submit():
        with write() as session:
            allowed = service.count_attempt(session, form.email.data, _network(), now())
            user = service.user_by_email(session, form.email.data)
            fits = allowed and service.use_code(session, user, form.code.data, now())
        service.refuse_flood(allowed)
        if user is not None and fits:
            return _arrive(user)
        form.code.errors = [
            _("This code does not fit or is too old. Check it or ask for a new one.")
        ]
    return render_template("accounts/enter_code.html", form=form), 400 if form.errors else 200


def _network() -> str:
    return request.remote_addr or "unknown"


@bp.post("/demo/enter/<who>")
@public
def enter_demo(who: str) -> Response:
    """In the demo only: enter as one of three people without typing."""
    row = service.installation()
    if row is None or not row.demo or who not in DEMO_PEOPLE:
        raise NotFound(_("There is no such page, or it is not for you."))
    user = service.user_by_email(db.session(), DEMO_PEOPLE[who])
    if user is None:
        raise NotFound(_("The demo company has been removed."))
    return _arrive(user)


@bp.post("/sign-out")
@signed_in
def leave() -> Response:
    """Sign out here."""
    flash(_("You are signed out."))
    return sign_out(redirect(url_for("accounts.sign_in")))


@bp.post("/sign-out/everywhere")
@signed_in
def leave_everywhere() -> Response:
    """Sign out on every device."""
    user_id = current_user().id
    with write() as session:
        service.end_all_sessions(session, user_id, now())
    flash(_("You are signed out on all devices."))
    response = redirect(url_for("accounts.sign_in"))
    response.delete_cookie(COOKIE)
    return response


@bp.route("/welcome/<token>", methods=["GET", "POST"])
@public
def welcome(token: str) -> tuple[str, int] | Response:
    """Accept an invitation. Opening the page uses nothing up: mail scanners open pages."""
    if not service.invitation_is_open(db.session(), token, now()):
        raise NotFound(_("This invitation has been used or has expired. Ask for a new one."))
    form = WelcomeForm()
    if not form.validate_on_submit():
        return render_template("accounts/welcome.html", form=form), 400 if form.errors else 200
    hashed = hash_password(form.password.data) if form.password.data else None
    with write() as session:
        user = service.use_invitation(session, token, now())
        user.password_hash = hashed or user.password_hash
        cookie = service.start_session(session, user, request.user_agent.string, now())
    response = make_response(redirect(url_for("reports.home")))
    set_cookie(cookie, response)
    return response


@bp.route("/account", methods=["GET", "POST"])
@signed_in
def account() -> tuple[str, int] | Response:
    """One's own account: password, sign out everywhere."""
    form = NewPasswordForm()
    if form.validate_on_submit():
        user_id = current_user().id
        hashed = hash_password(form.password.data)
        with write((User, user_id)) as session:
            session.get_one(User, user_id).password_hash = hashed
        flash(_("Your password is set."))
        return redirect(url_for("accounts.account"))
    page = render_template("accounts/account.html", form=form, role_name=role_name)
    return page, 400 if form.errors else 200


@bp.route("/people", methods=["GET", "POST"])
@partner_admins_and_vendor
def people() -> tuple[str, int] | Response:
    """Who has access; invite another."""
    actor = current_user()
    form = _invite_form(actor)
    if form.validate_on_submit():
        try:
            _invite(actor, form)
        except Refused as refusal:
            form.email.errors = [str(refusal)]
        else:
            flash(_("%(name)s will get a mail with a link.", name=form.name.data))
            return redirect(url_for("accounts.people"))
    return _people_page(actor, form), 400 if form.errors else 200


def _invite_form(actor: User) -> InviteForm:
    form = InviteForm()
    roles = [Role.partner_user, Role.partner_admin]
    partners = [(str(actor.partner_id), "")]
    if actor.is_vendor:
        rows = sort_by_name(service.partners(db.session()), lambda partner: partner.name)
        partners = [(str(row.id), row.name) for row in rows]
    if actor.is_admin:
        roles += [Role.channel_manager, Role.admin]
        partners = [("", _("– none, works for us –")), *partners]
    form.partner.choices = options(partners)
    form.role.choices = options((role.value, role_name(role)) for role in roles)
    return form


def _invite(actor: User, form: InviteForm) -> None:
    partner_id = uuid.UUID(form.partner.data) if form.partner.data else None
    if not service.may_invite(actor, form.role.data, partner_id):
        raise Refused(_("A partner's role needs a partner, and a vendor's role none."))
    with write() as session:
        user = service.add_user(
            session,
            email=form.email.data,
            name=form.name.data,
            role=form.role.data,
            partner_id=partner_id,
        )
        service.invite(session, user, session.get_one(User, actor.id))


def _people_page(actor: User, form: InviteForm) -> str:
    query = select(User, Partner).outerjoin(Partner, User.partner_id == Partner.id)
    if not actor.is_vendor:
        query = query.where(User.partner_id == actor.partner_id)
    rows = db.session.execute(query).all()
    wanted = request.args.get("q", "").strip().casefold()
    people_shown = [
        (user, partner)
        for user, partner in rows
        if wanted in f"{user.name} {user.email} {partner.name if partner else ''}".casefold()
    ]
    people_shown.sort(key=lambda row: sort_key(row[0].name, row[0].id))
    return render_template(
        "accounts/people.html",
        page=page_of(people_shown, request.args),
        form=form,
        role_name=role_name,
        q=request.args.get("q", ""),
        held=sum(1 for user, _partner in rows if user.held_at and not user.deactivated_at),
        smtp=bool(current_app.config["SETTINGS"].smtp_url),
    )


def _other_person(user_id: uuid.UUID) -> User:
    """The person, if the actor may manage them; else NotFound."""
    actor = current_user()
    user = db.session.get(User, user_id)
    mine = user is not None and (
        service.may_invite(actor, user.role, user.partner_id) and user.id != actor.id
    )
    if user is None or not mine:
        raise NotFound(_("There is no such person."))
    return user


@bp.post("/people/<uuid:user_id>/invite")
@partner_admins_and_vendor
def invite_again(user_id: uuid.UUID) -> Response:
    """Send a fresh link; the earlier one stops working when it leaves."""
    user, actor_id = _other_person(user_id), current_user().id
    name = user.name
    with write((User, user_id)) as session:
        service.invite(session, session.get_one(User, user_id), session.get_one(User, actor_id))
    flash(_("%(name)s will get a mail with a link.", name=name))
    return redirect(url_for("accounts.people"))


@bp.post("/people/<uuid:user_id>/deactivate")
@partner_admins_and_vendor
def deactivate(user_id: uuid.UUID) -> Response:
    """End a person's access; what they did stays."""
    name = _other_person(user_id).name
    with write((User, user_id)) as session:
        session.get_one(User, user_id).deactivated_at = now()
        service.end_all_sessions(session, user_id, now())
    flash(_("%(name)s has no access any more.", name=name))
    return redirect(url_for("accounts.people"))
