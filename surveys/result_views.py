"""Pages of results: how satisfied, and whom to call."""

from __future__ import annotations

import uuid

from flask import Response, render_template
from flask_babel import gettext as _
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from portal import clock
from portal.accounts.access import vendor_only
from portal.accounts.service import company
from portal.db import db
from portal.errors import NotFound
from portal.tables import Column, Table, csv_response
from surveys import definitions, metrics
from surveys.models import OPEN, Wave
from surveys.views import bp


def _wave(wave_id: uuid.UUID) -> Wave:
    query = select(Wave).options(joinedload(Wave.survey), joinedload(Wave.questionnaire))
    wave = db.session.scalars(query.where(Wave.id == wave_id, Wave.state == OPEN)).one_or_none()
    if wave is None:
        raise NotFound(_("There is no such wave."))
    return wave


def _partner_table(wave_id: uuid.UUID) -> Table:
    rows = [
        {**vars(line), "people": (line.answered, line.invited)}
        for line in metrics.by_partner(db.session(), wave_id)
    ]
    columns = [
        Column("partner", _("Partner")),
        Column("tier", _("Tier"), wide=True),
        Column("region", _("Region"), wide=True),
        Column("people", _("People"), "of", about="answered_people"),
        Column("company", _("The company"), "mean"),
        Column("experience", _("The partner experience"), "mean"),
    ]
    return Table("wave", _("Partners"), columns, rows, _("Nobody was invited."))


@bp.get("/surveys/waves/<uuid:wave_id>")
@vendor_only
def results(wave_id: uuid.UUID) -> str:
    """How satisfied they are, and whom to call."""
    wave, session = _wave(wave_id), db.session()
    return render_template(
        "surveys/results.html",
        wave=wave,
        summary=metrics.summary(session, wave),
        texts=definitions.texts(wave.questionnaire, "en", company()),
        distributions={
            name: metrics.distribution(session, wave_id, name) for name in definitions.CORE
        },
        partners=_partner_table(wave_id),
        comments=metrics.comments(session, wave_id),
        now=clock.now(),
    )


@bp.get("/surveys/waves/<uuid:wave_id>.csv")
@vendor_only
def results_csv(wave_id: uuid.UUID) -> Response:
    """The table of partners as a file."""
    _wave(wave_id)
    return csv_response(_partner_table(wave_id))
