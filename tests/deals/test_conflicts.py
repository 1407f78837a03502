"""When two companies are the same: one name in many spellings, domains, numbers, places."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.deals.conflicts import (
    Band,
    Keys,
    company_key,
    compare,
    domain_key,
    keys_of,
    postcode_key,
    similarity,
    tax_key,
)

FORMS = ("GmbH", "AG", "GmbH & Co. KG", "mbH", "e.K.", "B.V.", "Oy", "S.p.A.", "S.r.l.", "Ltd.",
         "Inc.", "KG", "OHG", "UG (haftungsbeschränkt)", "SE", "NV", "Ges.m.b.H.")  # fmt: skip
STEMS = ("Brandt & Söhne", "Hafen Emden", "Stadtwerke Lingen", "Müller Pumpen", "Vesi Tampere",
         "Acqua Viva", "Löwe", "Van den Berg Waterbeheer")  # fmt: skip
KEYS = st.builds(
    keys_of,
    st.sampled_from([*STEMS, "Brandt Soehne", "Stadtwerke Lingau", ""]),
    st.sampled_from(["", "brandt.de", "www.brandt.de", "lingen.example", "gmail.com"]),
    st.sampled_from(["", "DE123456789", "DE 987 654 321"]),
    st.sampled_from(["", "DE", "AT"]),
    st.sampled_from(["", "20095", "26721"]),
)


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("form", FORMS)
def test_a_name_with_another_legal_form_is_the_same(stem: str, form: str) -> None:
    assert company_key(f"{stem} {form}") == company_key(stem) != ""
    assert company_key(f"{stem.upper()} {form.upper()}") == company_key(stem)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Brandt & Söhne", "Brandt Soehne GmbH"),
        ("Brandt und Söhne", "BRANDT & SÖHNE, GMBH"),
        ("Straßenbau Weiß", "Strassenbau Weiss AG"),
        ("Café Zürich S.A.", "Cafe Zuerich"),
        ("Oy Vesi Ab", "Vesi"),
        ("J.P. Jensen", "JP Jensen A/S"),
        ("Ga\u0308rtner", "Gärtner e.K."),
    ],
)
def test_two_spellings_of_a_name_are_one_key(one: str, other: str) -> None:
    assert company_key(one) == company_key(other)


def test_a_name_of_nothing_but_a_form_keeps_it() -> None:
    assert company_key("AG") == "ag"
    assert company_key("GmbH & Co. KG") != ""
    assert company_key("") == ""


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("https://www.brandt.co.uk/kontakt?x=1", "brandt.co.uk"),
        ("info@shop.brandt.de", "brandt.de"),
        ("www.brandt.example", "brandt.example"),
        ("BRANDT.DE.", "brandt.de"),
        ("bücher.de", "xn--bcher-kva.de"),
        ("brandt.wixsite.com", "brandt.wixsite.com"),
        ("kontakt@gmx.net", ""),
        ("gmail.com", ""),
        ("web.de", ""),
        ("10.0.0.1", ""),
        ("localhost", ""),
        ("no domain at all", ""),
        ("", ""),
    ],
)
def test_a_domain_is_the_registrable_one_and_never_that_of_a_mail_provider(
    text: str, key: str
) -> None:
    assert domain_key(text) == key


def test_domains_are_known_without_any_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_more: object) -> None:
        raise AssertionError("somebody asked the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert (
        domain_key("https://a.fresh.name-nobody-asked-for.com.au") == "name-nobody-asked-for.com.au"
    )


def test_numbers_and_postcodes_are_read_as_people_write_them() -> None:
    assert tax_key("DE 123.456.789") == tax_key("123456789", "de") == "DE123456789"
    assert tax_key("CHE-123.456.789 MWST") == "CHE123456789"
    assert tax_key("n/a") == tax_key("") == ""
    assert postcode_key("D-20095") == "20095"
    assert postcode_key("1234 ab") == "1234AB"


BRANDT = keys_of("Brandt & Söhne", "brandt.de", "", "DE", "20095")


@pytest.mark.parametrize(
    ("other", "band"),
    [
        (keys_of("Brandt Soehne GmbH", "www.brandt.de", "", "DE", "20457"), Band.same),
        (keys_of("Brandt Soehne GmbH", "", "", "DE", "20095"), Band.same),
        (keys_of("Brandt Söhne AG", "", "", "DE"), Band.same),
        (keys_of("Something else", "", "DE123456789", "AT"), Band.same),
        (keys_of("Brandt Söhne", "", "", "DE", "80331"), Band.likely),
        (keys_of("Brandt Söhne", "", "DE987654321", "DE", "20095"), Band.likely),
        (keys_of("Brandt Service", "brandt.de", "", "DE"), Band.likely),
        (keys_of("Brandt Söhn", "", "", "DE", "20095"), Band.likely),
        (keys_of("Brandt Söhne", "", "", "AT"), Band.possible),
        (keys_of("Brandt Söhn", "", "", "DE", "80331"), Band.possible),
        (keys_of("Brandt Söller", "", "", "DE", "20095"), Band.possible),
        (keys_of("Brandt Söller", "", "", "DE", "80331"), None),
        (keys_of("Hafen Emden", "", "", "DE", "20095"), None),
        (keys_of("", "", "", "DE", "20095"), None),
    ],
)
def test_bands_follow_what_agrees(other: Keys, band: Band | None) -> None:
    mine = replace(BRANDT, tax_id="DE123456789") if other.tax_id else BRANDT
    found = compare(mine, other)
    assert (found.band if found else None) == band


def test_the_evidence_names_the_keys_with_both_values() -> None:
    found = compare(BRANDT, keys_of("Brandt Soehn", "brandt.de", "", "DE", "80331"))
    assert found is not None
    said = {row.key: (row.mine, row.theirs) for row in found.evidence}
    assert said == {
        "company": ("brandt soehne", "brandt soehn"),
        "domain": ("brandt.de", "brandt.de"),
        "country": ("DE", "DE"),
    }
    assert 90 <= found.evidence[0].score < 100


@settings(max_examples=150, deadline=None)
@given(KEYS, KEYS)
def test_comparing_is_symmetric(one: Keys, other: Keys) -> None:
    there, back = compare(one, other), compare(other, one)
    assert (there is None) == (back is None)
    if there is not None and back is not None:
        assert (there.band, there.score) == (back.band, back.score)
        assert [(row.key, row.theirs, row.mine, row.score) for row in there.evidence] == [
            (row.key, row.mine, row.theirs, row.score) for row in back.evidence
        ]


@settings(max_examples=100, deadline=None)
@given(KEYS)
def test_a_company_with_a_name_and_a_place_is_itself(keys: Keys) -> None:
    found = compare(keys, keys)
    if keys.tax_id or (keys.company and (keys.domain or keys.country or keys.postcode)):
        assert found is not None
        assert found.band == Band.same


@settings(max_examples=100, deadline=None)
@given(st.permutations(["brandt", "soehne", "pumpen", "hamburg"]))
def test_the_order_of_words_and_their_spaces_do_not_count(words: list[str]) -> None:
    assert similarity(" ".join(words), "brandt soehne pumpen hamburg") >= 99
    assert similarity("".join(words), " ".join(words)) >= 99
