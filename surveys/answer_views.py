"""Pages of answering: by the link of a mail, without signing in, or from the portal."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from flask import flash, redirect, render_template, request, url_for
from flask_babel import force_locale
from flask_babel import gettext as _
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response as BaseResponse

from portal import clock
from portal.accounts import service as accounts
from portal.accounts.access import current_user, partners_only, public
from portal.accounts.models import User
from portal.accounts.service import company
from portal.db import db, write
from portal.errors import Gone, TooMany
from surveys import answering, definitions, invitations, letters, responses
from surveys.answering import Asked, FilledIn, Given
from surveys.forms import AnswerForm
from surveys.models import Invitation, Mode
from surveys.questions import CORE, Questions, language_for
from surveys.views import bp
from surveys.wording import closing_time, language_name, of_texts, who_sees

# Answers from one link in a quarter of an hour: more is a machine.
PER_LINK = 30


@dataclass(frozen=True)
class Way:
    """How somebody came: by the token of a mail, without which no anonymous answer is found, or
    signed in. `path` is where the page is."""

    invitation: Invitation
    token: str
    path: str

    @property
    def answer_key(self) -> str:
        """What finds an anonymous answer."""
        return responses.key_of(self.token) if self.token else ""

    @property
    def throttled(self) -> str:
        """What is counted against floods: nothing kept with an answer, as it has a time."""
        return f"survey:{self.token or self.invitation.id}"


@bp.route("/survey/<token>", methods=["GET", "POST"])
@public
def answer(token: str) -> tuple[str, int]:
    """Answer from the link in a mail. Opening it answers nothing: scanners open links."""
    invitation = invitations.by_token(db.session(), token)
    return _answer(Way(invitation, token, url_for("surveys.answer", token=token)))


@bp.route("/survey/invitation/<uuid:invitation_id>", methods=["GET", "POST"])
@partners_only
def answer_signed_in(invitation_id: uuid.UUID) -> tuple[str, int]:
    """Answer from the portal; an anonymous survey only from its mail."""
    invitation = invitations.of_user(db.session(), current_user(), invitation_id)
    way = Way(invitation, "", url_for("surveys.answer_signed_in", invitation_id=invitation_id))
    if invitation.wave.mode == Mode.anonymous:
        invitations.refuse_late(invitation, clock.now())
        return _page("surveys/by_mail.html", way, answered=invitation.answered), 200
    return _answer(way)


def _answer(way: Way) -> tuple[str, int]:
    try:
        return _answer_in_time(way)
    except Gone as late:
        written = _written(way)
        if not written:
            raise
        # Who wrote until the last minute has the words again, if only to copy them.
        return _page("surveys/late.html", way, sentence=str(late), written=written), late.status


def _answer_in_time(way: Way) -> tuple[str, int]:
    invitation = way.invitation
    invitations.refuse_late(invitation, clock.now())
    before = responses.find(db.session(), invitation, way.answer_key)
    known = responses.given_by(before)
    questions = answering.questions_of(_questions(way), _language(way), company())
    form = AnswerForm()
    if not form.is_submitted():
        form.submission.data = responses.new_submission()
        shown = FilledIn({**known, **_preselected()}, before.comment if before else "")
        return _form_page(way, form, questions, shown), 200
    filled_in = answering.read(questions, request.form, request.form.getlist)
    missing = filled_in.missing(questions, known)
    status = _save(way, form, questions, filled_in)
    if status == 200 and not missing and not filled_in.problems:
        return _page("surveys/thanks.html", way, address=_address(way)), 200
    # What was left out stays as it was; the next Send is another submission.
    filled_in.given = {**known, **filled_in.given}
    filled_in.problems = {**missing, **filled_in.problems}
    form.submission.data = responses.new_submission()
    page = _form_page(way, form, questions, filled_in, flooded=status == TooMany.status)
    return page, 400 if status == 200 else status


def _written(way: Way) -> list[tuple[str, str]]:
    """The texts of the form, each with what was asked."""
    questions = answering.questions_of(_questions(way), _language(way), company())
    filled_in = answering.read(questions, request.form, request.form.getlist)
    texts = [(question.text, filled_in.of(question.key).text) for question in questions]
    return [
        (asked, text)
        for asked, text in [*texts, (_("What should we do better?"), filled_in.comment)]
        if text
    ]


def _save(way: Way, form: AnswerForm, questions: list[Asked], filled_in: FilledIn) -> int:
    """Save what is right; returns the status of the answer. What was not made by our page is not
    saved at all."""
    if not form.validate():
        filled_in.problems[""] = answering.NOT_ASKED
    if "" in filled_in.problems:
        return 400
    key = way.invitation.id
    with write((Invitation, key)) as session:
        now = clock.now()
        if not accounts.throttle(session, way.throttled, PER_LINK, now):
            return TooMany.status
        submission = form.submission.data or responses.new_submission()
        responses.save(session, key, way.answer_key, submission, questions, filled_in, now)
    return 200


def _preselected() -> Mapping[str, Given]:
    """The numbers that the address names: shown as chosen, and saved only by Send."""
    chosen = {name: request.args.get(name, "") for name in CORE}
    numbers = {str(score): score for score in definitions.SCALE}
    return {name: Given(value=numbers[text]) for name, text in chosen.items() if text in numbers}


def _questions(way: Way) -> Questions:
    return Questions.parse(way.invitation.wave.questionnaire.body)


def _language(way: Way) -> str:
    """The language of the page: that asked for if it is offered, else the person's."""
    wanted = request.args.get("lang", "")
    return wanted if wanted in _questions(way).languages else way.invitation.user.locale


def _address(way: Way) -> str:
    wanted = request.args.get("lang", "")
    return f"{way.path}?lang={wanted}" if wanted == _language(way) else way.path


def _form_page(
    way: Way, form: AnswerForm, questions: list[Asked], shown: FilledIn, *, flooded: bool = False
) -> str:
    wave, language = way.invitation.wave, _language(way)
    offered = _questions(way).languages
    kept = {name: request.args[name] for name in CORE if name in request.args}
    return _page(
        "surveys/answer.html",
        way,
        form=form,
        questions=questions,
        core=CORE,
        shown=shown,
        flooded=flooded,
        texts=definitions.texts(wave.questionnaire, language, company()),
        language=language_for(language, offered),
        languages=[(lang, language_name(lang)) for lang in offered] if len(offered) > 1 else [],
        kept=kept,
        address=_address(way),
        answered=way.invitation.answered,
        declining=url_for("surveys.decline", token=way.token) if way.token else "",
        said=invitations.last_said(db.session(), wave),
    )


def _page(template: str, way: Way, **context: object) -> str:
    wave, language = way.invitation.wave, _language(way)
    with force_locale(language):
        return render_template(
            template,
            wave=wave,
            invitation=way.invitation,
            person=way.invitation.user,
            path=way.path,
            closes=closing_time(wave, language),
            who_sees=who_sees(wave, company()),
            of_texts=of_texts(wave),
            **context,
        )


# --- saying no ----------------------------------------------------------------------------------


@bp.route("/survey/<token>/unsubscribe", methods=["GET", "POST"])
@public
def unsubscribe(token: str) -> tuple[str, int]:
    """No more mail about surveys, from the link in a mail. Opening it shows a button; mail
    programs that unsubscribe in one click post their own form (RFC 8058), without our token."""
    form = FlaskForm()
    one_click = request.form.get("List-Unsubscribe") == "One-Click"
    if form.is_submitted() and not one_click and not form.validate():
        return render_template("surveys/unsubscribe.html", form=form, done=False), 400
    user_id = invitations.by_token(db.session(), token).user_id
    if form.is_submitted():
        with write((User, user_id)) as session:
            invitations.choose_mail(session, user_id, clock.now(), wanted=False)
    return render_template("surveys/unsubscribe.html", form=form, done=form.is_submitted()), 200


@bp.post("/survey/<token>/decline")
@public
def decline(token: str) -> str:
    """Not this time, from the link in a mail."""
    key = invitations.by_token(db.session(), token).id
    with write((Invitation, key)) as session:
        invitations.decline(session.get_one(Invitation, key), clock.now())
    return render_template("surveys/declined.html", token=token)


@bp.post("/survey/invitation/<uuid:invitation_id>/dismiss")
@partners_only
def dismiss(invitation_id: uuid.UUID) -> BaseResponse:
    """Put the banner aside."""
    key = invitations.of_user(db.session(), current_user(), invitation_id).id
    with write((Invitation, key)) as session:
        invitations.dismiss(session.get_one(Invitation, key), clock.now())
    return redirect(url_for("reports.home"))


@bp.post("/survey/invitation/<uuid:invitation_id>/mail")
@partners_only
def mail_again(invitation_id: uuid.UUID) -> BaseResponse:
    """Send me the mail again."""
    key = invitations.of_user(db.session(), current_user(), invitation_id).id
    with write((Invitation, key)) as session:
        letters.send_again(session, session.get_one(Invitation, key), clock.now())
    flash(_("The mail is on its way."))
    return redirect(url_for("reports.home"))


@bp.app_context_processor
def _answer_words() -> dict[str, object]:
    return {"closing_time": closing_time}
