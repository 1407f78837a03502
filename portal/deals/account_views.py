"""The vendor's known accounts: the list."""

from __future__ import annotations

from flask import render_template, request

from portal.accounts.access import vendor_only
from portal.db import db
from portal.deals import known_accounts as accounts
from portal.deals.views import bp
from portal.paging import page_of


@bp.get("/deals/accounts")
@vendor_only
def known_accounts() -> str:
    """The customers that the vendor serves already, with a search."""
    text = request.args.get("q", "")[:200]
    page = page_of(accounts.search(db.session(), text), request.args)
    return render_template("deals/accounts.html", page=page, q=text)
