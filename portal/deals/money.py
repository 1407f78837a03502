"""Amounts as people write them. Pure."""

from __future__ import annotations

import re

LARGEST = 10**15


def parse_amount(text: str) -> int | None:
    """`12 400,50`, `12,400.50`, `12'400` or `12400` in minor units; None for nothing.

    Raises ValueError when it is no amount, or one that nobody means.
    """
    text = re.sub(r"[\s\u00a0\u202f'’]", "", text)
    if not text:
        return None
    if not re.fullmatch(r"\d+(?:[.,]\d+)*", text):
        raise ValueError(f"not an amount: {text!r}")
    *groups, last = re.split(r"[.,]", text)
    if not groups:
        return _minor(last, "")
    marks = re.findall(r"[.,]", text)
    # One separator before one or two digits, unlike the others, divides the cents.
    cents = len(last) <= 2 and (len(marks) == 1 or marks[-1] not in marks[:-1])
    thousands = groups[1:] if cents else [*groups[1:], last]
    kinds = set(marks[:-1] if cents else marks)
    if any(len(group) != 3 for group in thousands) or len(kinds) > 1:
        raise ValueError(f"not an amount: {text!r}")
    return _minor("".join([groups[0], *thousands]), last if cents else "")


def _minor(whole: str, cents: str) -> int:
    minor = int(whole[:20]) * 100 + int(cents.ljust(2, "0"))
    if minor > LARGEST:
        raise ValueError("too large")
    return minor
