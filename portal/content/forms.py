"""Forms of the library."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from wtforms import (
    BooleanField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length

from portal.choices import options
from portal.content.models import ContentType
from portal.content.sharing import DEFAULT_DAYS, LIFE_CHOICES

TYPE_NAMES = {
    ContentType.presentation: _l("Presentation"),
    ContentType.datasheet: _l("Datasheet"),
    ContentType.price_list: _l("Price list"),
    ContentType.case_study: _l("Case study"),
    ContentType.battlecard: _l("Battlecard"),
    ContentType.manual: _l("Manual"),
    ContentType.certificate: _l("Certificate"),
    ContentType.video: _l("Video"),
    ContentType.page: _l("Page"),
    ContentType.social_post: _l("Social post"),
    ContentType.link: _l("Link"),
}
LANGUAGES = ("en", "de", "fr", "nl", "fi", "it")


class AssetForm(FlaskForm):  # type: ignore[misc]
    """What an asset says about itself and whom it is for."""

    title = StringField(_l("Title"), [InputRequired(_l("Enter a title.")), Length(max=200)])
    summary = TextAreaField(_l("Summary"), [Length(max=2000)])
    content_type = SelectField(
        _l("Content type"), choices=options((kind.value, name) for kind, name in TYPE_NAMES.items())
    )
    families = SelectMultipleField(_l("Product families"))
    tiers = SelectMultipleField(_l("Only for tiers"))
    regions = SelectMultipleField(_l("Only for regions"))


class FileForm(FlaskForm):  # type: ignore[misc]
    """One file in one language."""

    language = SelectField(_l("Language"), choices=options((code, code) for code in LANGUAGES))
    file = FileField(_l("File"), [FileRequired(_l("Choose a file."))])


class ShareForm(FlaskForm):  # type: ignore[misc]
    """A link for a customer."""

    recipient = StringField(_l("For whom (only you see this)"), [Length(max=200)])
    deal = SelectField(_l("For a deal"), default="")
    days = SelectField(
        _l("Expires in"),
        coerce=int,
        default=DEFAULT_DAYS,
        choices=options((days, _l("%(days)s days", days=days)) for days in LIFE_CHOICES),
    )
    allow_download = BooleanField(_l("Download allowed"), default=True)
    also = SelectMultipleField(_l("Add more content"))
