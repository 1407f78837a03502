"""Forms for signing in and for people."""

from __future__ import annotations

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import EmailField, HiddenField, PasswordField, SelectField, StringField
from wtforms.validators import Email, InputRequired, Length, Optional


def _strip(text: str | None) -> str | None:
    return text.strip() if text else text


_ADDRESS = [
    InputRequired(_l("Enter your e-mail address.")),
    Email(_l("This is not an e-mail address. It looks like name@company.com.")),
    Length(max=254),
]


class SignInForm(FlaskForm):  # type: ignore[misc]
    """One address; a code by mail, or a password."""

    email = EmailField(_l("E-mail address"), _ADDRESS, filters=[_strip])
    password = PasswordField(_l("Password"), [Length(max=200)])
    next = HiddenField()


class CodeForm(FlaskForm):  # type: ignore[misc]
    """Enter the code that came by mail."""

    email = HiddenField()
    code = StringField(
        _l("Six-digit code"), [InputRequired(_l("Enter the code from the mail.")), Length(max=12)]
    )
    next = HiddenField()


class InviteForm(FlaskForm):  # type: ignore[misc]
    """Invite one person."""

    name = StringField(_l("Name"), [InputRequired(_l("Enter a name.")), Length(max=200)])
    email = EmailField(_l("E-mail address"), _ADDRESS, filters=[_strip])
    role = SelectField(_l("Role"))
    partner = SelectField(_l("Partner"), validate_choice=True)


class WelcomeForm(FlaskForm):  # type: ignore[misc]
    """Accept an invitation; the password may be left out."""

    password = PasswordField(
        _l("Password (optional)"),
        [Optional(), Length(min=10, max=200, message=_l("Use at least 10 characters."))],
    )


class NewPasswordForm(FlaskForm):  # type: ignore[misc]
    """Set or change one's password."""

    password = PasswordField(
        _l("New password"),
        [
            InputRequired(_l("Enter a password.")),
            Length(min=10, max=200, message=_l("Use at least 10 characters.")),
        ],
    )
