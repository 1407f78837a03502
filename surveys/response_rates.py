"""What became of every invitation of a wave, by the standard definitions of AAPOR (2023).

The response rates 1 and 2 are of all who could have answered: also of those of whom it is not known
whether the mail arrived, so that they are at least this high among those who read it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from portal import mail
from portal.accounts.models import User
from portal.estimates import Share
from portal.mail import Outbox
from surveys.models import Invitation, Response, SurveyOptOut, Wave

COMPLETE, PARTIAL = "complete", "partial"
DECLINED, OPTED_OUT, NOTHING = "declined", "opted_out", "nothing"
UNDELIVERABLE, UNKNOWN, LEFT = "undeliverable", "unknown", "left"
# In the order in which they are listed.
DISPOSITIONS = (
    COMPLETE, PARTIAL, DECLINED, OPTED_OUT, NOTHING, UNDELIVERABLE, UNKNOWN, LEFT,
)  # fmt: skip


@dataclass(frozen=True)
class Rates:
    """How many invitations ended in which way; `partners` that answered, of those asked."""

    ended: Mapping[str, int]
    partners: Share

    @property
    def eligible(self) -> int:
        """Everyone who was asked but those who had lost their access before they answered."""
        return sum(self.ended.values()) - self.ended[LEFT]

    @property
    def first(self) -> Share:
        """Response rate 1 (RR1): complete answers of all who were eligible."""
        return Share(self.ended[COMPLETE], self.eligible)

    @property
    def second(self) -> Share:
        """Response rate 2 (RR2): partial answers counted, too."""
        return Share(self.ended[COMPLETE] + self.ended[PARTIAL], self.eligible)


def rates(session: Session, wave: Wave) -> Rates:
    """What became of the invitations of a wave."""
    ended = case(
        (Invitation.answered == COMPLETE, COMPLETE),
        (Invitation.answered == PARTIAL, PARTIAL),
        (User.deactivated_at < wave.closes_at, LEFT),
        (Invitation.declined_at.is_not(None), DECLINED),
        (SurveyOptOut.at < wave.closes_at, OPTED_OUT),
        (Outbox.state.in_((mail.FAILED, mail.EXPIRED)), UNDELIVERABLE),
        (Outbox.state.in_((mail.UNKNOWN, mail.SENDING)), UNKNOWN),
        else_=NOTHING,
    ).label("ended")
    query = (
        select(ended, func.count())
        .select_from(Invitation)
        .join(User, User.id == Invitation.user_id)
        .outerjoin(Outbox, Outbox.id == Invitation.mail_id)
        .outerjoin(SurveyOptOut, SurveyOptOut.user_id == Invitation.user_id)
        .where(Invitation.wave_id == wave.id)
        .group_by(ended)
    )
    found = dict.fromkeys(DISPOSITIONS, 0) | {row[0]: row[1] for row in session.execute(query)}
    asked = partners(session, wave.id)
    return Rates(found, Share(sum(one.answered > 0 for one in asked), len(asked)))


@dataclass(frozen=True)
class Asked:
    """A partner in a wave: as it was when the wave opened, and how many of its people answered."""

    partner: uuid.UUID
    tier: str
    region: str
    invited: int
    answered: int


def partners(session: Session, wave_id: uuid.UUID) -> list[Asked]:
    """Every partner that was asked in a wave."""
    spoke = select(Response.partner_id, func.count()).where(Response.wave_id == wave_id)
    answered = {row[0]: row[1] for row in session.execute(spoke.group_by(Response.partner_id))}
    columns = (Invitation.partner_id, Invitation.tier, Invitation.region)
    asked = select(*columns, func.count()).where(Invitation.wave_id == wave_id).group_by(*columns)
    return [
        Asked(key, tier, region, invited, answered.get(key, 0))
        for key, tier, region, invited in session.execute(asked)
    ]


def of_group(asked: Iterable[Asked], members: set[uuid.UUID]) -> tuple[Share, Share]:
    """How many of those that answered are members, and how many of the rest."""
    answered = {one.partner for one in asked if one.answered}
    rest = {one.partner for one in asked} - answered
    return Share(len(answered & members), len(answered)), Share(len(rest & members), len(rest))
