"""The page on which a customer asks whoever sent them a link."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as BaseResponse

from portal import clock
from portal.accounts import service as accounts
from portal.accounts.access import public
from portal.accounts.models import User
from portal.content import sharing
from portal.db import db, write
from portal.errors import Busy, TooMany
from portal.leads import asking
from portal.leads.forms import AskForm
from portal.leads.views import bp


@bp.route("/s/<slug>/ask", methods=["GET", "POST"])
@public
def ask(slug: str) -> tuple[str, int] | BaseResponse:
    """Ask a question, with a name and an address to be answered at. Looking here records nothing;
    a link that is not measured can be asked through as well."""
    link = sharing.open_link(db.session(), slug, clock.now())
    sender = db.session.get_one(User, link.user_id)
    partner, company = sender.partner.name if sender.partner else "", accounts.company()
    # The sentence on the page is the one that is kept.
    sentence = asking.consent(partner or company, company)
    form, stay = AskForm(), "0" if request.args.get("measure") == "0" else None

    def shown(refusal: Busy | TooMany | None = None) -> tuple[str, int]:
        """The form with all that was typed into it, and why it was refused."""
        page = render_template(
            "leads/ask.html",
            form=form,
            link=link,
            sender=sender,
            sentence=sentence,
            stay=stay,
            refusal=str(refusal or ""),
        )
        if refusal is not None:
            return page, refusal.status
        return page, 400 if form.errors else 200

    if not form.validate_on_submit():
        return shown()
    name = sender.name
    try:
        with write() as session:
            fresh = sharing.open_link(session, slug, clock.now())
            network = request.remote_addr or "unknown"
            allowed = asking.is_allowed(session, fresh, network, clock.now())
            if allowed:
                asking.ask(
                    session,
                    fresh,
                    name=form.name.data,
                    email=form.email.data,
                    company=form.company.data,
                    question=form.question.data,
                    consent=sentence,
                    now=clock.now(),
                )
        accounts.refuse_flood(allowed)
    except (Busy, TooMany) as refusal:
        return shown(refusal)
    flash(_("Thank you. %(name)s has your question and will answer you.", name=name))
    return redirect(url_for("content.recipient", slug=slug, measure=stay))
