"""What can be imported. Each area registers its kinds; pages and commands are the same for all.

A file is explained row by row, and written all together or not at all. A dry run is the same,
taken back.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from flask_babel import gettext as _
from flask_babel import ngettext
from flask_babel.speaklater import LazyString
from sqlalchemy.orm import Session

from portal.accounts.models import Role
from portal.db import write
from portal.errors import NotFound
from portal.sheets import Line, Sheet, mapping_of

O = TypeVar("O")  # noqa: E741 - the outcome

PATIENCE_S = 30.0
# So many reasons are told; all of them are in the file of refused rows.
MOST_REASONS = 20


@dataclass
class Outcome:
    """What an import did, or would do."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: list[tuple[Line, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of it."""
        plain = {key: getattr(self, key) for key in ("created", "updated", "unchanged")}
        return {**plain, "refused": len(self.refused)}

    def explained(self) -> list[str]:
        """In sentences: what was done, what was odd, and why rows are refused."""
        return [*self.told(), *self.reasons()]

    def told(self) -> list[str]:
        """In sentences: what was done, and what was odd."""
        said = [
            ngettext("%(num)s is new.", "%(num)s are new.", self.created),
            ngettext("%(num)s changes.", "%(num)s change.", self.updated),
            ngettext("%(num)s was there already.", "%(num)s were there already.", self.unchanged),
            ngettext("%(num)s row is refused.", "%(num)s rows are refused.", len(self.refused)),
        ]
        return [text for text in said if not text.startswith("0 ")] + self.notes

    def reasons(self) -> list[str]:
        """Why rows are refused, the most frequent first, and for how many more reasons."""
        found = Counter(reason for _line, reason in self.refused)
        said = [f"{n} × {reason}" for reason, n in found.most_common(MOST_REASONS)]
        more = len(found) - MOST_REASONS
        if more > 0:
            said.append(ngettext("and %(num)s more reason", "and %(num)s more reasons", more))
        return said

    def refuse(self, line: Line, reason: str) -> None:
        """Leave a row out, and say why."""
        self.refused.append((line, reason))


@dataclass(frozen=True)
class Choices:
    """What whoever imports has chosen: columns by field, and what to do where the file is silent.
    `dates` is `dmy` or `mdy`; `words` say by field what words mean that are not understood."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    create: bool = False
    currency: str = ""
    dates: str = ""
    words: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Words:
    """Words in the column of a field that are not understood, each with its number of rows, and the
    meanings to choose from, by key."""

    field: str
    words: Mapping[str, int]
    meanings: Mapping[str, LazyString]


@dataclass(frozen=True)
class Source:
    """Which file it is and who brings it in; nobody, and as an administrator, by the command."""

    filename: str
    by_id: uuid.UUID | None = None
    role: Role = Role.admin
    dry_run: bool = False


@dataclass(frozen=True)
class Kind:
    """Something that can be imported. `fields` gives the names that columns may have, `asks` which
    questions the page has besides the columns; `export` is the page that writes such a file,
    `unknown` finds the words of a file that somebody has to explain. `admin_only` kinds are an
    administrator's to bring in."""

    name: str
    title: LazyString
    about: LazyString
    fields: Mapping[str, Iterable[str]]
    labels: Mapping[str, LazyString]
    run: Callable[[Sheet, Choices, Source], Outcome]
    needed: Sequence[str] = ()
    asks: Sequence[str] = ()
    create: LazyString | str = ""
    export: str = ""
    mapping: Callable[[Sheet, Mapping[str, str]], dict[str, str]] | None = None
    unknown: Callable[[Sheet, Mapping[str, str]], list[Words]] | None = None
    admin_only: bool = False

    def mapping_for(self, sheet: Sheet, given: Mapping[str, str]) -> dict[str, str]:
        """Which column holds which field. Raises BadMapping."""
        if self.mapping is not None:
            return self.mapping(sheet, given)
        return mapping_of(sheet, self.fields, self.needed, given)


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> Kind:
    """Let this kind be imported."""
    _kinds[kind.name] = kind
    return kind


def kind_called(name: str) -> Kind:
    """The kind of this name. Raises NotFound."""
    if name not in _kinds:
        raise NotFound(_("There is no such import."))
    return _kinds[name]


class RefusedRow(Exception):
    """Why a row cannot be used."""


class _NotMeant(Exception):
    """Takes a dry run back."""


def all_or_nothing(
    work: Callable[[Session], O], dry_run: bool, holding: uuid.UUID | None = None
) -> O:
    """Do `work` in one transaction, `holding` a key; with `dry_run`, take it back."""
    found: list[O] = []
    try:
        with write(deadline=PATIENCE_S, holding=holding) as session:
            found.append(work(session))
            session.flush()
            if dry_run:
                raise _NotMeant
    except _NotMeant:
        pass
    return found[0]


def fitting(field: str, text: str, size: int) -> str:
    """`text` with single spaces. Raises RefusedRow when the column `field` is too long."""
    text = " ".join(text.split())
    if len(text) > size:
        raise RefusedRow(_("%(name)s is longer than %(n)s characters.", name=field, n=size))
    return text


def few(names: Iterable[str], n: int = 8) -> str:
    """Some names, and how many more there are."""
    ordered = sorted(names)
    more = _(" and %(n)s more", n=len(ordered) - n) if len(ordered) > n else ""
    return ", ".join(ordered[:n]) + more
