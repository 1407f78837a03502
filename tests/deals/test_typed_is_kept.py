"""Nothing that was typed is lost: for every form of deals and leads, when the database is busy and
when somebody else was faster."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from flask import Flask

from portal.accounts.models import User
from portal.db import write
from portal.errors import Busy
from portal.leads import asking
from tests.conftest import Browse
from tests.content.test_sharing import share
from tests.deals.test_deals import approve, claim, deal, register
from tests.deals.test_policy import RULES
from tests.deals.test_refused import in_review, seen_on
from tests.leads.leads import QUESTION, lead_of, the_lead, write_down
from tests.leads.test_leads import rules
from tests.pages import text_of
from tests.people import ada, anna, jonas, lena, otto

TYPED = "Typed at length"
ORDER = {"amount": "900", "currency": "EUR", "won_on": "2026-11-20", "order_number": TYPED}


class Form(NamedTuple):
    """A form that words are typed into: who sends it, of what, and the other fields."""

    endpoint: str
    who: Callable[[], User]
    path: str
    made: Callable[[Browse], Any]
    data: dict[str, Any]


def nothing(_browse: Browse) -> str:
    """A form of its own."""
    return ""


def submitted(browse: Browse) -> uuid.UUID:
    """Lena's registration."""
    return register(browse, lena())


def approved(browse: Browse) -> uuid.UUID:
    """Lena's deal."""
    key = register(browse, lena())
    approve(browse, key)
    return key


def returned(browse: Browse) -> uuid.UUID:
    """Lena's registration, sent back with a question."""
    key = in_review(browse)
    browse(anna()).post(f"/deals/{key}/ask", data={"sentence": "Who?"})
    return key


def draft(browse: Browse) -> uuid.UUID:
    """Lena's draft."""
    return register(browse, lena(), then="draft")


def lead(browse: Browse) -> uuid.UUID:
    """Lena's lead."""
    return write_down(browse, lena())


def link(browse: Browse) -> str:
    """Lena's link for a customer."""
    return share(browse, lena()).slug


def team(browse: Browse) -> str:
    """Lena's registration, and another one."""
    first, second = register(browse, lena()), register(browse, lena(), customer_name="B", domain="")
    return f"{first}/team/{second}"


SENTENCE, TEXT = {"sentence": TYPED}, {"text": TYPED}
FORMS = (
    Form("deals.new", lena, "/deals/new", nothing, {"contact": TYPED}),
    Form("deals.edit", lena, "/deals/{}/edit", draft, {"contact": TYPED}),
    Form("deals.edit", lena, "/deals/{}/edit", returned, {"note": TYPED}),
    Form("deals.ask", anna, "/deals/{}/ask", in_review, SENTENCE),
    Form("deals.approve", anna, "/deals/{}/approve", in_review, {
        "customer": "new", "confirmation": TYPED}),
    Form("deals.reject", anna, "/deals/{}/reject", in_review, {
        "reason_code": "other", **SENTENCE}),
    Form("deals.won", lena, "/deals/{}/won", approved, ORDER),
    Form("deals.won", anna, "/deals/{}/won", approved, ORDER),
    Form("deals.say", lena, "/deals/{}/say/ask_extension", approved, TEXT),
    Form("deals.say", anna, "/deals/{}/say/propose_revocation", approved, TEXT),
    Form("deals.add_note", anna, "/deals/{}/notes", submitted, TEXT),
    Form("deals.add_comment", lena, "/deals/{}/comments", submitted, TEXT),
    Form("deals.add_comment", anna, "/deals/{}/comments", submitted, TEXT),
    Form("deals.team", anna, "/deals/{}", team, TEXT),
    Form("deals.new_rules", ada, "/deals/rules", nothing, {**RULES, "benefits": TYPED}),
    Form("leads.new", lena, "/leads/new", nothing, {"company": "Hafen Emden", "note": TYPED}),
    Form("leads.new", anna, "/leads/new", nothing, {"company": "Hafen Emden", "note": TYPED}),
    Form("leads.edit", lena, "/leads/{}/edit", lead, {"company": "Hafen Emden", "note": TYPED}),
    Form("leads.give_up", lena, "/leads/{}/give-up/disqualify", lead, {
        "reason_code": "no_need", "note": TYPED}),
    Form("leads.rules", anna, "/leads/rules", nothing, rules(**{"scoring-0-value": TYPED})),
)  # fmt: skip
# What a customer types, who is not signed in.
ASKED = Form("leads.ask", lena, "/s/{}/ask", link, {**QUESTION, "question": TYPED})
# Forms with nothing but clicks and files; a draft that saves itself stays in the page.
CLICKS = {
    "deals.move", "deals.lost", "deals.add_deal_file", "deals.remove_deal_file",
    "deals.say_what_helped", "deals.save_draft", "deals.check", "deals.merge_customers",
    "deals.assign", "leads.move", "leads.offer", "leads.erase",
}  # fmt: skip


@contextmanager
def busy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A database that cannot be written to meanwhile."""

    def refuse(*_args: Any, **_kwargs: Any) -> Any:
        raise Busy("The portal is busy. Please try again in a moment.")

    with monkeypatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if name.startswith("portal.") and getattr(module, "write", None) is write:
                patch.setattr(module, "write", refuse)
        yield


def send(browse: Browse, form: Form, person: User | None) -> Any:
    """Fill in a form that is not refused, and send it."""
    path, data = form.path.format(form.made(browse)), form.data
    if form.endpoint in ("deals.new", "deals.edit"):
        data = {**claim(), **data}
    return browse(person), path, data


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.endpoint}-{form.who.__name__}")
def test_a_busy_database_loses_nothing(
    browse: Browse, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser, path, data = send(browse, form, form.who())
    with busy(monkeypatch):
        answer = browser.post(path, data=data)
    assert answer.status_code == 503
    assert TYPED in text_of(answer) or f'value="{TYPED}"' in answer.text
    # And it was worth sending: now it goes in.
    if form.endpoint not in ("leads.rules", "deals.team"):
        again = browser.post(path, data=data)
        assert again.status_code == 302, text_of(again)


def test_a_customer_loses_no_question(browse: Browse, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, path, data = send(browse, ASKED, None)
    with busy(monkeypatch):
        answer = browser.post(path, data=data)
    assert answer.status_code == 503
    assert TYPED in answer.text
    monkeypatch.setattr(asking, "is_allowed", lambda *_args: False)
    answer = browser.post(path, data=data)
    assert answer.status_code == 429
    assert "Please wait 15 minutes" in text_of(answer)
    assert TYPED in answer.text
    assert QUESTION["email"] in answer.text


def test_every_form_of_deals_and_leads_is_here(app: Flask) -> None:
    there = {
        rule.endpoint
        for rule in app.url_map.iter_rules()
        if "POST" in (rule.methods or ()) and rule.endpoint.startswith(("deals.", "leads."))
    }
    assert there == {form.endpoint for form in (*FORMS, ASKED)} | CLICKS


# --- somebody else was faster ---------------------------------------------------------------------


def test_a_correction_of_a_lead_does_not_overwrite_that_of_a_colleague(browse: Browse) -> None:
    key = lead(browse)
    path, first, second = f"/leads/{key}/edit", browse(lena()), browse(jonas())
    seen = seen_on(first.get(path))
    assert second.post(path, data={"company": "Hafen Emden GmbH"}).status_code == 302
    mine: dict[str, Any] = {"company": "Hafen", "note": TYPED, "seen": seen}
    answer = first.post(path, data=mine)
    assert answer.status_code == 409
    assert "by a colleague meanwhile" in text_of(answer)
    assert TYPED in answer.text
    assert lead_of(key).company == "Hafen Emden GmbH"
    # Bad input in between does not make the page younger than it is.
    bad = first.post(path, data={**mine, "email": "nobody"})
    assert (bad.status_code, seen_on(bad)) == (400, seen)
    assert first.post(path, data={**mine, "seen": seen_on(answer)}).status_code == 302
    assert (lead_of(key).company, lead_of(key).note) == ("Hafen", TYPED)


def test_who_may_not_correct_a_lead_keeps_the_words_and_reads_nothing(browse: Browse) -> None:
    made = share(browse, lena())
    browse(None).post(f"/s/{made.slug}/ask", data=QUESTION)
    path = f"/leads/{the_lead().id}/edit"
    for data in ({"company": "X", "note": TYPED}, {"note": TYPED}, {"note": TYPED, "email": "x"}):
        answer = browse(anna()).post(path, data=data)
        assert answer.status_code in (400, 409)
        assert TYPED in answer.text
        for secret in ("Ida Frank", "Stadtwerke", "shaft", 'name="seen"'):
            assert secret.lower() not in answer.text.lower()
    assert browse(anna()).get(path).status_code == 409


def test_rules_that_came_too_late_can_be_sent_again(browse: Browse) -> None:
    manager = browse(anna())
    assert manager.post("/leads/rules", data=rules()).status_code == 302
    late = manager.post("/leads/rules", data=rules(threshold="77"))
    assert late.status_code == 409
    assert 'value="77"' in late.text
    version = late.text.split('name="version"', 1)[1].split('value="', 1)[1].split('"', 1)[0]
    again = manager.post("/leads/rules", data=rules(threshold="77", version=version))
    assert again.status_code == 302
    # Rules of deals that would change what was promised.
    assert browse(ada()).post("/deals/rules", data={**RULES, "valid_from": "2090-01-01"})
    answer = browse(ada()).post("/deals/rules", data={**RULES, "benefits": TYPED})
    assert answer.status_code == 409
    assert "must begin after" in text_of(answer)
    assert TYPED in answer.text


def test_an_answer_to_a_question_survives_a_colleague_who_was_faster(browse: Browse) -> None:
    key = returned(browse)
    path = f"/deals/{key}/edit"
    assert browse(jonas()).post(path, data=claim(note="Frau Brandt.")).status_code == 302
    answer = browse(lena()).post(path, data=claim(contact="Herr Brandt", note=TYPED))
    assert answer.status_code == 409
    assert "cannot be changed now" in text_of(answer)
    assert TYPED in answer.text
    assert 'value="Herr Brandt"' in answer.text
    assert deal(key).contact == ""


def test_ticks_and_the_chosen_colleague_are_kept(
    browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, to = submitted(browse), otto().id
    chosen = {"deal": str(key), "to": str(to)}
    with busy(monkeypatch):
        answer = browse(anna()).post("/deals/queue?whose=all", data=chosen)
    assert answer.status_code == 503
    assert f'value="{key}" aria-label="Tick Brandt &amp; Söhne" checked' in answer.text
    assert f'value="{to}" selected' in answer.text


def test_a_long_note_is_not_taken_for_a_missing_reason(browse: Browse) -> None:
    long = {"reason_code": "no_need", "note": "x" * 501}
    answer = browse(lena()).post(f"/leads/{lead(browse)}/give-up/disqualify", data=long)
    assert answer.status_code == 400
    assert "Please choose a reason." not in text_of(answer)
    assert "500" in text_of(answer)
