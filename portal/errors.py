"""Errors a person may meet. Each carries the sentence that the page shows."""

from __future__ import annotations


def N_(text: str) -> str:  # noqa: N802 - the name by which translations are collected
    """Mark `text` for translation; it is translated where it is shown."""
    return text


class PortalError(Exception):
    """Something was refused. `str(error)` says what happened and what to do."""

    status = 400


class Refused(PortalError):
    """A rule does not allow this now, as a move that the deal's state has no room for."""

    status = 409


class NotFound(PortalError):
    """There is no such thing, or not for this person: both look the same."""

    status = 404


class Gone(PortalError):
    """It existed and has ended, as an expired link."""

    status = 410


class TooMany(PortalError):
    """Asked too often; `retry_after` seconds later it may work."""

    status = 429

    def __init__(self, sentence: str, retry_after: int = 60) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class Busy(PortalError):
    """The database could not be written in time; nothing was changed."""

    status = 503


class BadSetting(Exception):
    """A setting is missing or makes no sense; the text names it."""
