"""Why a registration is rejected: a code for the vendor, a sentence for the partner.

The first three codes share one sentence, so that no partner learns from a rejection whether a
rival or the vendor itself is with the customer; a reviewer cannot add words to it.
"""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_babel.speaklater import LazyString

from portal.errors import N_

SERVED = N_("This customer is already being served for this product; we cannot reserve it.")

SENTENCES: dict[str, str] = {
    "other_partner": SERVED,
    "vendor_engaged": SERVED,
    "existing_customer": SERVED,
    "public_tender": N_("This is a public tender; tenders are not reserved for one partner."),
    "insufficient_information": N_("There was not enough information to decide."),
    "no_evidence": N_("There was no sign yet that the customer plans to buy."),
    "not_authorised": N_("You are not authorised for this product or region yet."),
    "below_minimum": N_("The expected amount is below the minimum for a registration."),
    "out_of_scope": N_("This kind of deal is outside the registration programme."),
    "other": "",
}
FIXED = frozenset(code for code, sentence in SENTENCES.items() if sentence == SERVED)

LABELS: dict[str, LazyString] = {
    "other_partner": _l("Another partner has it"),
    "vendor_engaged": _l("We are engaged ourselves"),
    "existing_customer": _l("Existing customer"),
    "public_tender": _l("Public tender"),
    "insufficient_information": _l("Not enough information"),
    "no_evidence": _l("No sign of a purchase"),
    "not_authorised": _l("Partner not authorised"),
    "below_minimum": _l("Below the minimum"),
    "out_of_scope": _l("Outside the programme"),
    "other": _l("Other"),
}


def sentence_for(code: str, added: str = "") -> str:
    """What the partner reads when `code` is the reason, with the reviewer's words where allowed."""
    if code in FIXED:
        return SENTENCES[code]
    return added.strip() or SENTENCES[code]


LOSS_LABELS: dict[str, LazyString] = {
    "price": _l("Price"),
    "competitor": _l("A competitor's product"),
    "no_budget": _l("No budget"),
    "postponed": _l("Postponed"),
    "no_response": _l("The customer stopped answering"),
    "other": _l("Other"),
}
# An import seldom knows why.
IMPORTED = "imported"
LOSS_NAMES: dict[str, LazyString] = {**LOSS_LABELS, IMPORTED: _l("Not known: it was imported")}
