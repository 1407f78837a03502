"""What the demo's documents say, in five languages."""

from __future__ import annotations

LANGUAGES = ("en", "de", "nl", "fi", "it")
FAMILIES = ("Pumps NPX", "Pumps NPX-200", "Booster sets", "Drives", "Spare parts", "Service plans")

# (title, content type, family, pages, languages, days since publishing, summary)
CONTENTS: list[tuple[str, str, str, int, str, int, str]] = [
    (
        "Case study: waterworks Tampere",
        "case_study",
        "Service plans",
        8,
        "en de fi",
        210,
        "Service costs down by a third: what changed, month by month.",
    ),
    (
        "Deck: energy savings",
        "presentation",
        "Drives",
        10,
        "en de nl",
        95,
        "Ten pages for the first meeting: where pumps waste energy and what it costs.",
    ),
    (
        "Service price list 2026",
        "price_list",
        "Service plans",
        2,
        "en de nl fi it",
        20,
        "Valid from January. Replaces the list of 2025.",
    ),
    (
        "Spare parts price list 2026",
        "price_list",
        "Spare parts",
        4,
        "en de",
        33,
        "All wear parts with order numbers.",
    ),
    (
        "NPX-200 datasheet",
        "datasheet",
        "Pumps NPX-200",
        4,
        "en de nl fi it",
        300,
        "Flow, head, efficiency, dimensions.",
    ),
    ("NPX datasheet", "datasheet", "Pumps NPX", 4, "en de nl fi it", 745, "The whole range."),
    (
        "Booster set B4 datasheet",
        "datasheet",
        "Booster sets",
        3,
        "en de it",
        410,
        "For buildings up to twelve floors.",
    ),
    (
        "Drive D7 datasheet",
        "datasheet",
        "Drives",
        3,
        "en de nl",
        150,
        "Variable speed, 4 to 90 kW.",
    ),
    (
        "Battlecard: NPX-200 against imports",
        "battlecard",
        "Pumps NPX-200",
        2,
        "en de",
        120,
        "Five questions that decide the comparison.",
    ),
    (
        "Battlecard: service plan against own staff",
        "battlecard",
        "Service plans",
        2,
        "en de",
        75,
        "What an hour of standstill really costs.",
    ),
    (
        "Case study: hospital Utrecht",
        "case_study",
        "Booster sets",
        6,
        "en nl",
        330,
        "Twelve booster sets, no night call in two years.",
    ),
    (
        "Case study: paper mill Lahti",
        "case_study",
        "Pumps NPX",
        6,
        "en fi",
        742,
        "Pumping pulp with 18 % less energy.",
    ),
    (
        "Case study: winery Alba",
        "case_study",
        "Pumps NPX-200",
        5,
        "en it",
        260,
        "Gentle pumping, one maintenance a year.",
    ),
    (
        "Case study: district heating Graz",
        "case_study",
        "Drives",
        7,
        "en de",
        180,
        "Thirty drives changed without a day of standstill.",
    ),
    (
        "Installation manual NPX-200",
        "manual",
        "Pumps NPX-200",
        12,
        "en de nl fi it",
        300,
        "From the foundation to the first start.",
    ),
    (
        "Maintenance manual NPX",
        "manual",
        "Pumps NPX",
        14,
        "en de",
        745,
        "Intervals, wear parts, torque.",
    ),
    ("Certificate ISO 9001", "certificate", "Pumps NPX", 1, "en de", 400, "Valid until 2028."),
    (
        "Drinking water certificate",
        "certificate",
        "Booster sets",
        1,
        "en de nl",
        220,
        "Approved for drinking water.",
    ),
    (
        "Deck: the service plan in ten minutes",
        "presentation",
        "Service plans",
        9,
        "en de nl",
        60,
        "For customers who repair only when it breaks.",
    ),
    (
        "Deck: company introduction",
        "presentation",
        "Pumps NPX",
        8,
        "en de it",
        740,
        "Who we are, in eight pages.",
    ),
]
_MORE = {
    "datasheet": ("{family} size {n} datasheet", 3, "Flow, head, efficiency, dimensions."),
    "case_study": ("Case study: {place}", 6, "What was there, what was changed, what it brought."),
    "manual": ("{family} quick guide {n}", 4, "The six steps, on one page each."),
    "battlecard": ("Battlecard: {family}, objection {n}", 2, "The objection, and the answer."),
    "presentation": ("Deck: {family} for {place}", 8, "Ready for the meeting."),
    "social_post": ("Post: {family} in {place}", 1, "A picture and three sentences."),
    "price_list": ("{family} price list, discount group {n}", 3, "Net prices."),
}
PLACES = (
    "Rotterdam port",
    "Turin works",
    "Kiel shipyard",
    "Linz steelworks",
    "Basel laboratory",
    "Ghent brewery",
    "Oulu mill",
    "Bremen cold store",
    "Verona hospital",
    "Emden harbour",
)


def contents(n: int) -> list[tuple[str, str, str, int, str, int, str]]:
    """The first `n` contents: those written by hand, then plain ones of every kind."""
    found = list(CONTENTS)
    kinds = list(_MORE.items())
    index = 0
    while len(found) < n:
        kind, (title, pages, summary) = kinds[index % len(kinds)]
        family = FAMILIES[index % len(FAMILIES)]
        place = PLACES[index % len(PLACES)]
        languages = ("en", "en de", "en de nl")[index % 3]
        name = title.format(family=family, n=index // len(kinds) + 1, place=place)
        found.append((name, kind, family, pages, languages, 45 + 17 * index % 690, summary))
        index += 1
    return found[:n]


# Heading and sentences of a page, in turn; {title}, {family}, {a}, {b} are filled in.
PAGES: dict[str, list[tuple[str, list[str]]]] = {
    "en": [
        (
            "At a glance",
            [
                "{title} shows what {family} do in daily work.",
                "The figures come from {a} sites over {b} months.",
            ],
        ),
        (
            "The starting point",
            [
                "Energy was {a} % of the running costs.",
                "Maintenance was planned by the calendar, not by need.",
            ],
        ),
        (
            "What was done",
            [
                "{family} were fitted in {a} days, one line after the other.",
                "The plant stood still for {b} hours in all.",
            ],
        ),
        (
            "What it costs",
            [
                "Purchase is {a} % of the costs over the life; energy and service are the rest.",
                "Payback came after {b} months.",
            ],
        ),
        (
            "What it brought",
            [
                "{a} % less energy, {b} % fewer service calls.",
                "The staff have time for other things.",
            ],
        ),
        (
            "Maintenance and costs",
            [
                "Maintenance costs fell by {a} % in the first year.",
                "One planned visit replaces {b} calls at night.",
            ],
        ),
        ("Technical data", ["Flow up to {a} m³/h, head up to {b} m.", "Efficiency class IE5."]),
        ("Next step", ["Ask for a measurement on site: it takes half a day and costs nothing."]),
    ],
    "de": [
        (
            "Auf einen Blick",
            [
                "{title}: was {family} im Alltag leisten.",
                "Die Zahlen stammen aus {a} Anlagen und {b} Monaten.",
            ],
        ),
        (
            "Ausgangslage",
            [
                "Energie machte {a} % der laufenden Kosten aus.",
                "Gewartet wurde nach Kalender, nicht nach Bedarf.",
            ],
        ),
        (
            "Was getan wurde",
            [
                "{family} wurden in {a} Tagen eingebaut, Strang für Strang.",
                "Die Anlage stand insgesamt {b} Stunden.",
            ],
        ),
        (
            "Was es kostet",
            [
                "Der Kauf ist {a} % der Kosten über die Lebensdauer.",
                "Nach {b} Monaten war es bezahlt.",
            ],
        ),
        ("Was es brachte", ["{a} % weniger Energie, {b} % weniger Einsätze."]),
        (
            "Wartung und Kosten",
            [
                "Die Kosten der Wartung sanken im ersten Jahr um {a} %.",
                "Ein geplanter Besuch ersetzt {b} Einsätze in der Nacht.",
            ],
        ),
        ("Technische Daten", ["Förderstrom bis {a} m³/h, Förderhöhe bis {b} m."]),
        ("Nächster Schritt", ["Fragen Sie nach einer Messung vor Ort: ein halber Tag, kostenlos."]),
    ],
    "nl": [
        (
            "In één oogopslag",
            [
                "{title}: wat {family} elke dag doen.",
                "De cijfers komen van {a} locaties en {b} maanden.",
            ],
        ),
        ("Het begin", ["Energie was {a} % van de lopende kosten."]),
        (
            "Wat er is gedaan",
            ["{family} zijn in {a} dagen geplaatst.", "De installatie stond {b} uur stil."],
        ),
        ("Wat het kost", ["Aanschaf is {a} % van de kosten; na {b} maanden terugverdiend."]),
        (
            "Onderhoud en kosten",
            [
                "De onderhoudskosten daalden met {a} % in het eerste jaar.",
                "Eén gepland bezoek vervangt {b} storingen.",
            ],
        ),
        ("Volgende stap", ["Vraag om een meting ter plaatse."]),
    ],
    "fi": [
        (
            "Yhdellä silmäyksellä",
            [
                "{title}: mitä {family} tekevät joka päivä.",
                "Luvut ovat {a} laitokselta ja {b} kuukaudelta.",
            ],
        ),
        ("Lähtötilanne", ["Energia oli {a} % käyttökuluista."]),
        ("Mitä tehtiin", ["{family} asennettiin {a} päivässä.", "Seisokki kesti {b} tuntia."]),
        ("Huolto ja kustannukset", ["Huoltokustannukset laskivat {a} % ensimmäisenä vuonna."]),
        ("Seuraava askel", ["Pyydä mittaus paikan päällä."]),
    ],
    "it": [
        (
            "In breve",
            [
                "{title}: che cosa fanno {family} ogni giorno.",
                "I dati vengono da {a} impianti e {b} mesi.",
            ],
        ),
        ("La situazione iniziale", ["L'energia era il {a} % dei costi di esercizio."]),
        ("Che cosa si è fatto", ["{family} installate in {a} giorni, {b} ore di fermo."]),
        ("Manutenzione e costi", ["I costi di manutenzione sono scesi del {a} % nel primo anno."]),
        ("Il prossimo passo", ["Chiedete una misura sul posto."]),
    ],
}
