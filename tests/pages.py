"""What holds for every page, checked whenever a test opens one."""

from __future__ import annotations

import re
from collections import Counter
from html import unescape
from html.parser import HTMLParser
from typing import Any


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()
        self.problems: list[str] = []
        self.titles = 0
        self.headings = 0
        self._form: dict[str, str | None] | None = None
        self._has_token = False
        self.labelled: set[str] = set()
        self.controls: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("id"):
            self.ids[str(values["id"])] += 1
        self.titles += tag == "title"
        self.headings += tag == "h1"
        for name in values:
            if name == "style" or name.startswith("on"):
                self.problems.append(f"<{tag} {name}=...> is refused by the policy for scripts")
        if tag == "script" and not values.get("src"):
            self.problems.append("a script without src")
        if tag == "form":
            self._form, self._has_token = values, False
        if tag == "label" and values.get("for"):
            self.labelled.add(str(values["for"]))
        if tag in ("input", "select", "textarea"):
            self.controls.append(values)
            self._has_token = self._has_token or values.get("name") == "csrf_token"
        if tag == "img" and "alt" not in values:
            self.problems.append("an image without alt")

    def handle_endtag(self, tag: str) -> None:
        if tag != "form" or self._form is None:
            return
        if (self._form.get("method") or "get").lower() == "post" and not self._has_token:
            self.problems.append(f"a form without a token: {self._form.get('action')}")
        self._form = None


def problems_of(html: str) -> list[str]:
    """What is wrong with a page by the rules that every page keeps."""
    reader = _Reader()
    reader.feed(html)
    found = list(reader.problems)
    found += [f"id {name!r} comes {n} times" for name, n in reader.ids.items() if n > 1]
    if reader.titles < 1:
        found.append("no title")
    if reader.headings != 1:
        found.append(f"{reader.headings} main headings")
    quiet = {"hidden", "submit", "button"}
    for control in reader.controls:
        named = control.get("aria-label") or control.get("aria-labelledby")
        if control.get("type") in quiet or "hidden" in control or named:
            continue
        if control.get("id") not in reader.labelled:
            found.append(f"no label for {control.get('name')!r}")
    return found


def check_page(response: Any) -> None:
    """Raise when `response` is a page that breaks a rule."""
    if response.mimetype != "text/html" or 300 <= response.status_code < 400:
        return
    html = response.get_data(as_text=True)
    if html:
        assert problems_of(html) == []


def text_of(response: Any) -> str:
    """The words of a page as a person reads them, without tags and with single spaces."""
    html = response.get_data(as_text=True)
    body = re.sub(r"<(script|style|head)\b.*?</\1>", " ", html, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())
