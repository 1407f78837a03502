"""What partners looked for in the library and did not find, without the names of their customers.

Context: in a search field people type anything, a customer's name among it; and recipients belong
to the partner.
Decision: words are shown when several partners looked for them, or one did so several times, and
never when they name somebody whom that partner has written down as a recipient or a customer.
Consequences: those searches are counted as others, so that the numbers still add up.
"""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain

from flask import url_for
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from portal.content import sharing
from portal.deals import metrics as deals
from portal.formatting import sort_key
from portal.leads import metrics as leads
from portal.reports.engagement import scope_of
from portal.reports.periods import Period
from portal.tables import Column, Table
from tracking import metrics
from tracking.metrics import Searched

# Several partners, or one so many times: less than that may be anything.
OFTEN = 3
# Parts of a company's name that say nothing about which company it is.
COMMON = {
    "gmbh", "mbh", "kgaa", "ohg", "gbr", "sarl", "srl", "spa", "sas", "ltd", "llc", "inc", "plc",
    "corp", "oyj", "group", "holding", "company", "und", "and", "the", "van", "der", "die", "das",
}  # fmt: skip


def search_table(
    session: Session, period: Period, first: int = 0, limit: int | None = None
) -> Table:
    """What partners looked for in the library and did not find, the most wanted first."""
    scope = scope_of(period)
    found = metrics.searches_in_vain(session, scope, often=OFTEN, first=first, limit=limit)
    shown = _without_names(session, scope, found.rows)
    others = sum(row.times for row in found.rows) - sum(row.times for row in shown)
    if first + len(found.rows) >= found.total:
        others += metrics.times_in_vain(session, scope) - found.times
    rows: list[dict[str, object]] = [
        {
            "words": row.words,
            "in_vain": row.times,
            "search_partners": row.partners,
            "last": row.last,
            "href": url_for("content.index", q=row.words),
        }
        for row in shown
    ]
    if others:
        rows.append({"words": _("Other searches"), "in_vain": others})
    return Table(
        "searches",
        _("Searched without result"),
        [
            Column("words", _("Looked for")),
            Column("in_vain", _("Without result"), "number"),
            Column("search_partners", _("Partners"), "number"),
            Column("last", _("Last"), "day"),
        ],
        rows,
        _("Every search found something, or nobody searched."),
        _("Rare words, and those that name a partner's customer, are counted as other searches."),
        left_out=found.total - len(found.rows),
    )


def _without_names(
    session: Session, scope: metrics.Scope, found: Sequence[Searched]
) -> list[Searched]:
    """These searches without those that name a customer of the partner who searched."""
    names = _names(session)
    known = {row.words: row for row in found}
    risky = [words for words in known if any(part in names for part in parts(words))]
    for partner_id, words, times in metrics.searches_of(session, scope, risky) if risky else ():
        if any(partner_id in names.get(part, ()) for part in parts(words)):
            row = known[words]
            known[words] = replace(row, times=row.times - times, partners=row.partners - 1)
    shown = [row for row in known.values() if row.partners > 1 or row.times >= OFTEN]
    return sorted(shown, key=lambda row: (-row.times, -row.partners, row.words))


def _names(session: Session) -> dict[str, set[uuid.UUID]]:
    """Every part of a name that partners wrote down, of a recipient or a customer, and who did."""
    found: dict[str, set[uuid.UUID]] = defaultdict(set)
    names = sharing.recipient_names(session), deals.customer_names(session)
    for partner_id, name in chain(*names, leads.customer_names(session)):
        for part in parts(name):
            found[part].add(partner_id)
    return found


@lru_cache(maxsize=100_000)
def parts(text: str) -> frozenset[str]:
    """The words of a text that can tell somebody: three letters and more, however they are written
    (`Söhne` and `Soehne` alike), without legal forms."""
    plain = sort_key(text)[0].replace("ß", "ss")
    for two, one in (("ae", "a"), ("oe", "o"), ("ue", "u")):
        plain = plain.replace(two, one)
    return frozenset(re.findall(r"\w{3,}", plain)) - COMMON
