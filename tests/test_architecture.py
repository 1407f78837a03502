"""The rules of the house, read from the source."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest
from flask import Flask
from flask_migrate import check as check_migrations

from portal.config import Raw
from tests.engines import migrated_app

ROOT = Path(__file__).parent.parent
SOURCES = sorted(p for d in ("portal", "tracking", "surveys") for p in (ROOT / d).rglob("*.py"))

# From the bottom up; a module may import its own level (the same area) and those below.
LEVELS = [
    {"portal.clock", "portal.config", "portal.errors", "portal.estimates", "portal.means",
     "portal.student"},
    {"portal.db", "portal.mail", "portal.formatting", "portal.security", "portal.logs",
     "portal.bulk", "portal.pace", "portal.choices", "portal.countries", "portal.tables",
     "portal.paging", "portal.sheets", "portal.kept", "portal.upkeep"},
    {"portal.accounts"},
    {"tracking", "surveys"},
    {"portal.content"},
    {"portal.imports"},
    {"portal.leads"},
    {"portal.deals"},
    {"portal.reports"},
    {"portal", "portal.factory", "portal.runner", "portal.jobs", "portal.job_words",
     "portal.job_views", "portal.cli", "portal.demo", "portal.pages",
     "portal.health", "portal.server", "portal.wsgi", "portal.migrations"},
]  # fmt: skip
PURE = {
    "tracking.dwell", "tracking.days", "surveys.schedule", "surveys.questions", "surveys.drafts",
    "surveys.answering", "portal.deals.pipeline",
    "portal.deals.policy", "portal.deals.money", "portal.deals.words", "portal.deals.results",
    "portal.deals.conflicts", "portal.deals.facts", "portal.deals.revenue",
    "portal.means", "portal.student", "surveys.figures", "surveys.suppression",
    "portal.estimates", "portal.reports.periods", "portal.reports.stops", "portal.clock",
    "portal.reports.conversion",
    "portal.leads.stages", "portal.leads.scoring", "portal.leads.assignment", "portal.leads.rules",
    "portal.leads.funnel",
    "portal.demo.words",
}  # fmt: skip


def module_of(path: Path) -> str:
    """The dotted name of a source file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def area_of(module: str) -> tuple[int, str]:
    """The level of a module and the area that put it there: the longest name that fits."""
    best = (-1, "")
    for level, areas in enumerate(LEVELS):
        for area in areas:
            inside = module == area or (module.startswith(area + ".") and area != "portal")
            if inside and len(area) > len(best[1]):
                best = (level, area)
    assert best[1], f"{module} has no place in the architecture"
    return best


def imports_of(path: Path, *, at_top_only: bool = False) -> set[str]:
    """Every module of ours that a file imports."""
    tree = ast.parse(path.read_text())
    nodes = tree.body if at_top_only else list(ast.walk(tree))
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return {name for name in found if name.split(".")[0] in ("portal", "tracking", "surveys")}


def known(name: str) -> str | None:
    """The module that an imported name means, if it is one."""
    path = ROOT / name.replace(".", "/")
    return name if path.with_suffix(".py").exists() or (path / "__init__.py").exists() else None


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_imports_go_down_only(path: Path) -> None:
    level, area = area_of(module_of(path))
    for name in filter(None, map(known, imports_of(path))):
        if name == "portal":
            continue
        its_level, its_area = area_of(name)
        assert its_level < level or its_area == area or level in (0, 1, len(LEVELS) - 1), (
            f"imports {name}"
        )
        assert its_level <= level, f"imports {name} from above"


@pytest.mark.parametrize("name", sorted(PURE))
def test_pure_modules_know_neither_flask_nor_the_database(name: str) -> None:
    text = (ROOT / f"{name.replace('.', '/')}.py").read_text()
    assert not re.search(r"^(from|import) (flask|sqlalchemy|portal\.db)", text, re.M)


def test_every_route_says_who_may_use_it() -> None:
    app = migrated_app("sqlite")
    silent = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint not in ("static", "bootstrap.static")
        and not hasattr(app.view_functions[rule.endpoint], "access")
    ]
    assert silent == []


# Pages without a person: sign-in, links that are secrets themselves, and the two for monitors.
# The endpoint of attention, /t, stands beside Flask and asks for a signed token.
PUBLIC = {
    "accounts.sign_in", "accounts.submit_sign_in", "accounts.enter_code",
    "accounts.enter_demo", "accounts.welcome", "content.recipient", "content.recipient_asset",
    "content.recipient_page_image", "content.recipient_download", "content.recipient_file",
    "content.recipient_recording", "leads.ask", "surveys.answer",
    "surveys.unsubscribe", "surveys.decline",
    "reports.link_recorded", "reports.link_recorded_json", "reports.link_recorded_csv",
    "reports.erase_link", "pages.healthz", "pages.readyz",
}  # fmt: skip


def test_only_these_routes_are_open_to_everyone() -> None:
    app = migrated_app("sqlite")
    views = app.view_functions.items()
    assert {name for name, view in views if getattr(view, "access", "") == "anyone"} == PUBLIC


def test_every_changing_route_refuses_a_form_without_its_token(app: Flask) -> None:
    app.config["WTF_CSRF_ENABLED"] = True
    client = app.test_client()
    for rule in app.url_map.iter_rules():
        if "POST" not in (rule.methods or set()):
            continue
        path = re.sub(r"<uuid:\w+>", "0190a0a0-0000-7000-8000-000000000000", rule.rule)
        path = re.sub(r"<int:\w+>", "1", path)
        answer = client.post(re.sub(r"<\w+>", "x", path))
        assert answer.status_code == 400, rule.rule


def test_every_setting_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    for setting in fields(Raw):
        assert f"`PORTAL_{setting.name.upper()}`" in readme


def test_migrations_make_exactly_the_tables_of_the_models(app: Flask) -> None:
    check_migrations()


WIDTH = re.compile(r"{% block width %}\w*{% endblock %}")
JINJA = re.compile(r"{#.*?#}|{%.*?%}|{{.*?}}", re.S)
TAGS = re.compile(r"<[^>]*>|&\w+;", re.S)
QUOTED = re.compile(r'\b(aria-label|placeholder|title|alt)="([^"{]*[A-Za-z][^"{]*)"')


@pytest.mark.parametrize("path", sorted((ROOT / "templates").rglob("*.*")), ids=lambda p: p.name)
def test_every_text_of_a_template_can_be_translated(path: Path) -> None:
    text = path.read_text()
    stripped = TAGS.sub(" ", JINJA.sub("", WIDTH.sub("", text)))
    assert re.findall(r"[A-Za-z]{2,}", stripped) == []
    examples = [found for found in QUOTED.findall(text) if found[1] != "customer.com"]
    assert examples == []


def test_lock_files_name_no_index_and_pin_everything() -> None:
    for name in ("requirements.lock", "requirements-test.lock"):
        for line in (ROOT / name).read_text().splitlines():
            if not line.startswith("#"):
                assert re.fullmatch(r"[A-Za-z0-9_.\-]+(\[\w+\])?==[\w.+!]+", line), line
