"""Whether two companies are the same: keys computed once, compared in bands, with the evidence.

Context: partners write one customer in many ways ("Brandt & Söhne", "Brandt Soehne GmbH"), and two
customers may share a name. A machine can only say what agrees.
Decision: of each company five keys are kept: name without its legal form, registrable web domain
(not that of a mail provider), tax number, country, postcode. Two companies fall in a band by which
keys agree, exactly or nearly; people decide.
Consequences: comparing is symmetric and knows neither partner nor order. When the keys are made by
other rules, `KEYS_VERSION` rises and every open check is done again.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache

from cleanco.clean import custom_basename, prepare_default_terms
from rapidfuzz import fuzz
from tldextract import TLDExtract

KEYS_VERSION = 1
# From how many hundredths on two names are nearly one, or only look alike.
NEAR, ALIKE = 90, 80

# The list that comes with the package: nothing is fetched, and nothing is written.
_extract = TLDExtract(suffix_list_urls=(), cache_dir=None, include_psl_private_domains=True)

# What many companies share, so that it says nothing about one.
_SHARED = {
    "aol", "bluewin", "facebook", "freenet", "gmail", "gmx", "googlemail", "hotmail", "icloud",
    "instagram", "kpnmail", "libero", "linkedin", "live", "mac", "mail", "me", "msn", "outlook",
    "pm", "posteo", "proton", "protonmail", "skynet", "suomi24", "t-online", "telenet", "tiscali",
    "virgilio", "web", "xing", "yahoo", "yandex", "ymail", "ziggo",
}  # fmt: skip
_SHARED_ENDINGS = {"com", "de", "net", "org", "at", "ch", "nl", "be", "fi", "it", "fr", "eu", "me"}

_SPELLED = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "oe", "å": "aa", "ł": "l"}
)
_AND = {"and", "und", "et", "en", "e", "ja", "og", "och", "y", "u"}
_MORE_FORMS = ("mbh", "ek", "ev", "gesmbh", "kgaa", "ohg", "sarl", "oy", "ug", "co", "inh")


class Band(StrEnum):
    """How sure it is that two companies are one, the surest first."""

    same = "same"
    likely = "likely"
    possible = "possible"


@dataclass(frozen=True)
class Keys:
    """What a company is known by. An empty key says nothing."""

    company: str = ""
    domain: str = ""
    tax_id: str = ""
    country: str = ""
    postcode: str = ""


@dataclass(frozen=True)
class Agreement:
    """One key that agrees: its name, both values, and how nearly, of 100."""

    key: str
    mine: str
    theirs: str
    score: int


@dataclass(frozen=True)
class Match:
    """Two companies that may be one: how surely, and what agrees."""

    band: Band
    score: int
    evidence: tuple[Agreement, ...]


# --- keys ---------------------------------------------------------------------------------------


@cache
def _forms() -> list[tuple[int, list[str]]]:
    more = [(1, [form]) for form in _MORE_FORMS]
    return [*prepare_default_terms(), (2, ["&", "co"]), (2, ["u", "co"]), *more]


@lru_cache(maxsize=50_000)
def company_key(name: str) -> str:
    """A company's name without legal form, case, accents and marks: one spelling of many."""
    text = re.sub(r"\(\s*haftungs\w*\.?\s*\)", " ", unicodedata.normalize("NFC", name), flags=re.I)
    while (shorter := _without_form(text)) and shorter != text:
        text = shorter
    return _folded(text) or _folded(name)


def _without_form(name: str) -> str:
    parts = name.split()
    if len(parts) > 1 and parts[0].casefold() == "oy":
        name = " ".join(parts[1:])
    shorter: str = custom_basename(name, _forms())
    return shorter


def _folded(name: str) -> str:
    text = name.casefold().translate(_SPELLED)
    text = unicodedata.normalize("NFKD", text)
    text = "".join(c for c in text if not unicodedata.combining(c))
    words = re.sub(r"[^\w\s]|_", " ", re.sub(r"(?<=\w)['’.](?=\w)", "", text)).split()
    kept = [word for word in words if word not in _AND]
    return " ".join(kept or words)[:400]


@lru_cache(maxsize=50_000)
def domain_key(text: str) -> str:
    """The registrable domain of a web or mail address; nothing for that of a mail provider."""
    found = _extract(text.strip().lower())
    if found.suffix:
        if found.domain in _SHARED and found.suffix in _SHARED_ENDINGS:
            return ""
        name = f"{found.domain}.{found.suffix}" if found.domain else ""
    else:
        # An ending that the list does not know: the last two parts, as for any plain ending.
        labels = [*found.subdomain.split("."), found.domain]
        name = ".".join(labels[-2:]) if found.subdomain and "[" not in found.domain else ""
    if not re.fullmatch(r"[^\s/@:]+", name):
        return ""
    try:
        return name.encode("idna").decode()[:253]
    except UnicodeError:
        return ""


def tax_key(text: str, country: str = "") -> str:
    """A tax number without marks, with its country in front; nothing where it is too short."""
    plain = re.sub(r"[^0-9A-Z]", "", text.upper())
    plain = re.sub(r"(MWST|TVA|IVA|UST)$", "", plain)
    if plain.isdigit() and country:
        plain = country.upper() + plain
    return plain[:40] if sum(map(str.isdigit, plain)) >= 5 else ""


def postcode_key(text: str) -> str:
    """A postcode without spaces, and without the country that some put in front."""
    return re.sub(r"[^0-9A-Z]", "", re.sub(r"^\s*[A-Z]{1,3}\s*-\s*", "", text.upper()))


def keys_of(
    name: str, domain: str = "", tax_id: str = "", country: str = "", postcode: str = ""
) -> Keys:
    """The keys of a company as somebody wrote it down."""
    return Keys(
        company=company_key(name),
        domain=domain_key(domain),
        tax_id=tax_key(tax_id, country),
        country=country.strip().upper(),
        postcode=postcode_key(postcode),
    )


# --- comparing ----------------------------------------------------------------------------------


def similarity(one: str, other: str) -> int:
    """How alike two company keys are, of 100, whatever the order and the spaces of their words;
    0 when they are not even alike."""
    if not one or not other:
        return 0
    if one == other:
        return 100
    first, second = sorted((one, other))
    found = max(
        fuzz.token_sort_ratio(first, second, score_cutoff=ALIKE),
        fuzz.ratio(first.replace(" ", ""), second.replace(" ", ""), score_cutoff=ALIKE),
    )
    # Only what is equal is certain.
    return min(99, int(found))


def compare(mine: Keys, theirs: Keys) -> Match | None:
    """How surely these are one company, and what says so; None when nothing does."""
    alike = similarity(mine.company, theirs.company)
    band = _band(mine, theirs, alike)
    if band is None:
        return None
    evidence = []
    if alike >= ALIKE:
        evidence.append(Agreement("company", mine.company, theirs.company, alike))
    for key in ("domain", "tax_id", "country", "postcode"):
        if _equal(mine, theirs, key):
            evidence.append(Agreement(key, getattr(mine, key), getattr(theirs, key), 100))
    sure = any(_equal(mine, theirs, key) for key in ("domain", "tax_id"))
    return Match(band, max(alike, 100 if sure else 0), tuple(evidence))


def _equal(mine: Keys, theirs: Keys, key: str) -> bool:
    value = getattr(mine, key)
    return bool(value) and value == getattr(theirs, key)


def _differ(mine: Keys, theirs: Keys, key: str) -> bool:
    one, other = getattr(mine, key), getattr(theirs, key)
    return bool(one) and bool(other) and one != other


def _band(mine: Keys, theirs: Keys, alike: int) -> Band | None:
    def equal(key: str) -> bool:
        return _equal(mine, theirs, key)

    def differ(key: str) -> bool:
        return _differ(mine, theirs, key)

    if equal("tax_id"):
        return Band.same
    # Companies of a group share a domain or a name; a tax number of its own tells them apart.
    other_number, abroad, one_name = differ("tax_id"), differ("country"), alike == 100
    if equal("domain"):
        is_same = alike >= NEAR and not abroad and not other_number
        return Band.same if is_same else Band.likely
    if one_name and not abroad:
        apart = differ("postcode") or differ("domain")
        is_same = equal("postcode") or (equal("country") and not apart)
        return Band.same if is_same and not other_number else Band.likely
    if alike >= NEAR and not abroad:
        return Band.likely if equal("postcode") and not other_number else Band.possible
    is_there = equal("postcode") and not abroad
    return Band.possible if one_name or (alike >= ALIKE and is_there) else None
