"""What the form of a deal knows already: from the lead that the deal comes of."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy.orm import Session

from portal.accounts.models import User
from portal.leads import service as leads


def from_lead(session: Session, user: User, lead_id: uuid.UUID) -> dict[str, Any]:
    """The claim as far as a lead of this person's partner tells it. Raises NotFound."""
    lead = leads.of_deal(session, user, lead_id)
    person = ", ".join(filter(None, (lead.contact, lead.email, lead.phone)))
    return {
        "customer_name": lead.company or lead.contact,
        "country": lead.country,
        "contact": person[:200],
        "product_family": str(lead.product_family_id or ""),
        "first_contact": leads.known_since(lead),
    }
