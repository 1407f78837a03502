"""Pages of answering: by the link of a mail, without signing in, or from the portal."""

from __future__ import annotations

import uuid

from flask import render_template, request

from portal import clock
from portal.accounts.access import current_user, partners_only, public
from portal.accounts.service import company
from portal.db import db, write
from surveys import definitions, invitations, responses
from surveys.forms import AnswerForm
from surveys.models import Invitation
from surveys.views import bp


@bp.route("/survey/<token>", methods=["GET", "POST"])
@public
def answer(token: str) -> tuple[str, int]:
    """Answer from the link in a mail. Opening it answers nothing: scanners open links."""
    return _answer(invitations.by_token(db.session(), token))


@bp.route("/survey/invitation/<uuid:invitation_id>", methods=["GET", "POST"])
@partners_only
def answer_signed_in(invitation_id: uuid.UUID) -> tuple[str, int]:
    """Answer from the portal."""
    return _answer(invitations.of_user(db.session(), current_user(), invitation_id))


def _answer(invitation: Invitation) -> tuple[str, int]:
    responses.refuse_late(invitation, clock.now())
    form = _answer_form(invitation)
    if not form.validate_on_submit():
        return _answer_page(invitation, form), 400 if form.errors else 200
    key = invitation.id
    scores = {name: int(form[name].data) for name in definitions.CORE}
    submission = form.submission.data or responses.new_submission()
    with write((Invitation, key)) as session:
        responses.answer(
            session,
            session.get_one(Invitation, key),
            submission,
            scores,
            form.comment.data or "",
            clock.now(),
        )
    return render_template("surveys/thanks.html", wave=invitation.wave, address=request.path), 200


def _answer_form(invitation: Invitation) -> AnswerForm:
    form = AnswerForm()
    if form.is_submitted():
        return form
    form.submission.data = responses.new_submission()
    earlier = invitation.response
    if earlier is not None:
        given = {row.question: row.value for row in earlier.answers}
        for name in definitions.CORE:
            form[name].data = str(given[name]) if given.get(name) else None
        form.comment.data = earlier.comment
    for name in definitions.CORE:
        chosen = request.args.get(name, "")
        if chosen.isdecimal() and int(chosen) in definitions.SCALE:
            form[name].data = str(int(chosen))
    return form


def _answer_page(invitation: Invitation, form: AnswerForm) -> str:
    return render_template(
        "surveys/answer.html",
        form=form,
        wave=invitation.wave,
        person=invitation.user,
        texts=definitions.texts(invitation.wave.questionnaire, invitation.user.locale, company()),
        answered=invitation.response is not None,
    )
