"""What the demo's documents look like: upright sheets to read, and slides for meetings."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime

from fpdf import FPDF

from portal.demo import words

INK, ACCENT, SOFT, FAINT = (30, 34, 38), (11, 93, 87), (225, 239, 237), (120, 120, 120)
MARGIN = 20


@dataclass(frozen=True)
class Sheet:
    """The shape of a page in millimetres: its text is `measure` wide and begins at `top`, below the
    band of the cover at `below`; a chart of `chart` size stands on `ground`, from `left` on."""

    width: int
    height: int
    band: int
    below: int
    top: int
    measure: int
    left: int
    ground: int
    chart: tuple[int, int]


UPRIGHT = Sheet(210, 297, 70, 85, 25, 170, 20, 240, (170, 90))
SLIDE = Sheet(254, 143, 45, 54, 20, 105, 135, 122, (99, 63))
SHEETS = {"presentation": SLIDE, "battlecard": SLIDE}


def pdf(rng: random.Random, kind: str, title: str, family: str, language: str, pages: int) -> bytes:
    """A document: a headline, a few sentences and a small chart or table on every page."""
    sheet = SHEETS.get(kind, UPRIGHT)
    document = FPDF(format=(sheet.width, sheet.height))
    document.set_title(title)
    document.set_creation_date(datetime(2026, 1, 1))  # noqa: DTZ001 - no one reads it
    document.set_auto_page_break(False)
    texts = words.PAGES[language]
    for page in range(pages):
        document.add_page()
        heading, sentences = texts[page % len(texts)]
        values = {
            "title": title,
            "family": family,
            "a": rng.randint(8, 40),
            "b": rng.randint(3, 30),
        }
        if page == 0:
            _cover(document, sheet, title, family)
        top = sheet.below if page == 0 else sheet.top
        filled = [sentence.format(**values) for sentence in sentences]
        _text(document, sheet, heading, filled, top)
        (_bars if page % 2 else _rows)(document, sheet, rng, pages)
        document.set_text_color(*FAINT)
        document.set_font("Helvetica", size=9)
        foot = sheet.height - 9
        document.text(MARGIN, foot, f"Nordwerk  -  {title}"[:90])
        document.text(sheet.width - 28, foot, f"{page + 1} / {pages}")
    return bytes(document.output())


def _cover(document: FPDF, sheet: Sheet, title: str, family: str) -> None:
    document.set_fill_color(*ACCENT)
    document.rect(0, 0, sheet.width, sheet.band, style="F")
    document.set_text_color(255, 255, 255)
    document.set_font("Helvetica", "B", 26)
    document.set_xy(MARGIN, sheet.band / 2 - 11)
    document.multi_cell(sheet.width - 2 * MARGIN, 12, title, align="L")
    document.set_font("Helvetica", size=13)
    document.text(MARGIN, sheet.band - 8, family)


def _text(document: FPDF, sheet: Sheet, heading: str, sentences: list[str], top: int) -> None:
    document.set_text_color(*INK)
    document.set_font("Helvetica", "B", 20)
    document.set_xy(MARGIN, top)
    document.multi_cell(sheet.measure, 10, heading, align="L")
    document.set_font("Helvetica", size=13)
    for sentence in sentences:
        document.set_x(MARGIN)
        document.multi_cell(sheet.measure, 8, sentence, align="L")
        document.ln(3)


def _bars(document: FPDF, sheet: Sheet, rng: random.Random, n: int) -> None:
    document.set_fill_color(*ACCENT)
    width, height = sheet.chart
    for index in range(bars := max(4, n)):
        tall = rng.randint(15, 90) / 90 * height
        x = sheet.left + width * (index + 0.2) / bars
        document.rect(x, sheet.ground - tall, width / bars * 0.6, tall, style="F")
    document.line(sheet.left, sheet.ground, sheet.left + width, sheet.ground)


def _rows(document: FPDF, sheet: Sheet, rng: random.Random, _n: int) -> None:
    document.set_font("Helvetica", size=12)
    document.set_fill_color(*SOFT)
    width, height = sheet.chart
    line = height / 7
    for index in range(7):
        y = sheet.ground - height + index * line
        if index % 2:
            document.rect(sheet.left, y, width, line, style="F")
        base = y + line * 0.7
        document.text(sheet.left + 4, base, f"NP {rng.randint(100, 999)}-{rng.randint(10, 99)}")
        price = f"{rng.randint(40, 2400)}.00 EUR"
        document.text(sheet.left + width - 4 - document.get_string_width(price), base, price)
