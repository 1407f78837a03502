"""Pages of questionnaires: every version, how partners see it, and new ones."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from portal import clock
from portal.accounts.access import vendor_only
from portal.accounts.service import company
from portal.db import db, write
from surveys import definitions, drafts, questionnaires
from surveys import questionnaire_forms as forms
from surveys.models import Questionnaire
from surveys.questions import CORE, ENGLISH, MAX_QUESTIONS, MAX_TEXT, Questions, said
from surveys.views import bp


@dataclass(frozen=True)
class Draft:
    """A version while it is written: its words, and the version that it is compared with."""

    name: str
    questions: Questions
    before: Questionnaire | None
    core_words: bool = False

    def sentences(self) -> list[str]:
        """What it changes of the version before it."""
        if self.before is None:
            return []
        return forms.change_sentences(definitions.parsed(self.before), self.questions)


@bp.get("/surveys/questionnaires")
@vendor_only
def all_questionnaires() -> str:
    """Every version, and which of them compare."""
    return render_template(
        "surveys/questionnaires.html",
        versions=questionnaires.listed(db.session()),
        language_name=forms.language_name,
    )


@bp.post("/surveys/questionnaires/standard")
@vendor_only
def from_standard() -> BaseResponse:
    """A new version where there is none to make it from: of the standard one."""
    with write() as session:
        key = questionnaires.standard(session, clock.now()).id
    return redirect(url_for("surveys.next_version", questionnaire_id=key))


@bp.get("/surveys/questionnaires/<uuid:questionnaire_id>")
@vendor_only
def questionnaire(questionnaire_id: uuid.UUID) -> str:
    """One version as a partner sees it, in each of its languages."""
    session = db.session()
    row = questionnaires.get(session, questionnaire_id)
    questions = definitions.parsed(row)
    language = request.args.get("language", ENGLISH)
    return render_template(
        "surveys/questionnaire.html",
        row=row,
        questions=questions,
        language=language if language in questions.ends else ENGLISH,
        used=questionnaires.is_used(session, questionnaire_id),
        said=said,
        company=company(),
        scale=definitions.SCALE,
        language_name=forms.language_name,
    )


@bp.route("/surveys/questionnaires/<uuid:questionnaire_id>/next", methods=["GET", "POST"])
@vendor_only
def next_version(questionnaire_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """A new version, made from this one."""
    session = db.session()
    base = questionnaires.get(session, questionnaire_id)
    draft = _draft(base, base)
    if not _accepted(session, draft, None):
        return _page(session, base, draft, None)
    with write() as writing:
        row = questionnaires.add(
            writing, draft.name, draft.questions, questionnaire_id, clock.now()
        )
        key, number = row.id, row.number
    flash(_("Saved as version %(n)s. Choose it in the surveys that shall ask it.", n=number))
    return redirect(url_for("surveys.questionnaire", questionnaire_id=key))


@bp.route("/surveys/questionnaires/<uuid:questionnaire_id>/edit", methods=["GET", "POST"])
@vendor_only
def edit_questionnaire(questionnaire_id: uuid.UUID) -> tuple[str, int] | BaseResponse:
    """Change a version that nobody was asked yet."""
    session = db.session()
    row = questionnaires.get(session, questionnaire_id)
    if questionnaires.is_used(session, questionnaire_id):
        return _used_meanwhile(session, row)
    before = session.get(Questionnaire, row.follows_id) if row.follows_id else None
    draft = _draft(row, before)
    if not _accepted(session, draft, row.id):
        return _page(session, row, draft, row.id)
    with write((Questionnaire, questionnaire_id)) as writing:
        questionnaires.change(writing, questionnaire_id, draft.name, draft.questions)
    flash(_("Saved."))
    return redirect(url_for("surveys.questionnaire", questionnaire_id=questionnaire_id))


def _used_meanwhile(session: Session, row: Questionnaire) -> tuple[str, int]:
    """It stays as it is; what was typed goes into a version made from it."""
    sentence = _(
        "This version was used meanwhile and stays as it is. Save what you typed as a new one."
    )
    page, _status = _page(session, row, _draft(row, row), None, [sentence])
    return page, 409


def _draft(base: Questionnaire, before: Questionnaire | None) -> Draft:
    """What the page shows: the version itself, or what was typed with what the button did."""
    kept = definitions.parsed(base)
    if request.method == "GET":
        return Draft(base.name, kept, before)
    then = request.form.get("then", "")
    core_words = then == "words" or "core_words" in request.form
    typed = forms.read(request.form, kept, core_words="core_words" in request.form)
    acted = forms.act(typed, then, request.form.get("new_language", ""))
    name = request.form.get("name", "").replace("\0", "").strip()
    return Draft(name, drafts.arranged(acted), before, core_words)


def _accepted(session: Session, draft: Draft, key: uuid.UUID | None) -> bool:
    """Whether it is to be saved: complete, and where it ends comparability, knowingly."""
    if request.form.get("then") != "save" or _problems(draft):
        return False
    if draft.before is None:
        return True
    found = questionnaires.hash_of(session, draft.questions, draft.before, key)
    return found in (draft.before.core_hash, request.form.get("accept"))


def _problems(draft: Draft) -> list[str]:
    found = [forms.fault_sentence(fault) for fault in drafts.faults(draft.questions)]
    if not draft.name or len(draft.name) > 120:
        found.insert(0, _("Enter a name of 120 characters at most."))
    return found


def _page(
    session: Session,
    base: Questionnaire,
    draft: Draft,
    key: uuid.UUID | None,
    refused: Sequence[str] = (),
) -> tuple[str, int]:
    saving = request.form.get("then") == "save"
    problems = [*refused, *(_problems(draft) if saving else ())]
    found = questionnaires.hash_of(session, draft.questions, draft.before, key)
    comparable = draft.before is None or found == draft.before.core_hash
    page = render_template(
        "surveys/questionnaire_edit.html",
        base=base,
        draft=draft,
        questions=draft.questions,
        editing=key is not None,
        address=url_for(
            "surveys.edit_questionnaire" if key else "surveys.next_version",
            questionnaire_id=base.id,
        ),
        problems=problems,
        sentences=draft.sentences(),
        comparable=comparable,
        accept="" if comparable or problems or not saving else found,
        kept=definitions.parsed(base),
        core=CORE,
        kinds=forms.KIND_NAMES,
        drivers={it: name for it, name in forms.DRIVER_NAMES.items()
                 if it not in draft.questions.keys},
        languages=[it for it in forms.LANGUAGES if it not in draft.questions.ends],
        language_name=forms.language_name,
        most=MAX_QUESTIONS,
        longest=MAX_TEXT,
    )  # fmt: skip
    return page, 400 if saving else 200
