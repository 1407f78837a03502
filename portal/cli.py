"""The commands of the portal. `portal --help` lists them."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import click
from flask import Flask
from flask_migrate import upgrade as migrate_up
from sqlalchemy import inspect

from portal import create_app, jobs, logs, server, sheets
from portal.accounts import service as accounts
from portal.accounts.models import PrivacyMode, Role
from portal.clock import now
from portal.config import Settings, save_settings
from portal.content import library
from portal.countries import countries
from portal.db import db, write
from portal.deals.policy_versions import ensure_policy
from portal.deals.words import Order
from portal.errors import BadSetting, PortalError
from portal.health import migrations_are_current
from portal.imports.kinds import Choices, Source, kind_called
from portal.reports import leads, outcomes, satisfaction
from portal.reports.filters import Filters
from portal.reports.periods import Period
from portal.security import hash_password
from surveys import history
from tracking import rollups, verify


@click.group()
@click.pass_context
def portal(context: click.Context) -> None:
    """A self-hosted partner portal that measures itself."""
    context.obj = Settings.from_environ()
    logs.configure(context.obj.log_level)


def _app(settings: Settings, *, ready: bool = True) -> Flask:
    """The application; `ready`: on a database that fits this version, made when it is empty."""
    app = create_app(settings)
    if not ready:
        return app
    with app.app_context():
        if not inspect(db.engine).get_table_names():
            migrate_up()
        with db.engine.connect() as connection:
            current = migrations_are_current(connection)
    if not current:
        raise click.ClickException("The database needs `portal db upgrade` first.")
    return app


@portal.group(name="db")
def database() -> None:
    """The database."""


@database.command()
@click.pass_obj
def upgrade(settings: Settings) -> None:
    """Bring the database to this version."""
    with _app(settings, ready=False).app_context():
        migrate_up()
    click.echo("The database is up to date.")


@portal.command()
@click.pass_obj
def serve(settings: Settings) -> None:
    """Start the server."""
    app = _app(settings)
    click.echo(f"Serving {settings.url}", err=True)
    server.serve(app)


@portal.command()
@click.option("--parent", type=int, hidden=True)
@click.pass_obj
def scheduler(settings: Settings, parent: int | None) -> None:
    """Start what runs by itself: mail, page images, numbers, survey waves, reminders."""
    server.schedule(_app(settings), parent)


@portal.command()
@click.pass_obj
def run(settings: Settings) -> None:
    """Start everything: database, demo company (unless PORTAL_DEMO=0), server and scheduler."""
    app = _app(settings, ready=False)
    with app.app_context():
        migrate_up()
        installed = accounts.installation()
        if installed is None and settings.demo:
            _fill()
            installed = accounts.installation()
    if installed is None:
        if not sys.stdin.isatty():
            raise click.ClickException("Not set up yet: run `portal setup`, then start again.")
        setup.main([], standalone_mode=False, obj=settings)
    server.refuse_taken_port(settings)
    click.echo(f"\n  The portal is at {settings.url}\n")
    if installed is not None and installed.demo:
        _print_demo_people()
    click.echo("  Ctrl-C stops it.\n")
    server.run(app)


def _print_demo_people() -> None:
    from portal.demo import PASSWORDS

    for role, (email, password) in PASSWORDS.items():
        click.echo(f"  {role:<16} {email:<36} password {password}")
    click.echo()


def _fill() -> None:
    from portal.demo import fill

    began = time.perf_counter()
    click.echo("Filling the portal with the demo company Nordwerk (less than a minute) ...")
    fill()
    click.echo(f"Done in {time.perf_counter() - began:.0f} s.")


@portal.command()
@click.option("--remove", is_flag=True, help="Take the demo company away again.")
@click.pass_obj
def demo(settings: Settings, remove: bool) -> None:
    """Fill an empty portal with the demo company, or take it away."""
    with _app(settings).app_context():
        if remove:
            from portal.demo import remove as take_away

            for table, rows in take_away().items():
                click.echo(f"{table}: {rows} removed")
            return
        _fill()
    _print_demo_people()


def _zone(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if value not in available_timezones():
        raise click.BadParameter("Use a name such as Europe/Berlin.")
    return value


def _long_enough(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if len(value) < 10:
        raise click.BadParameter("Use at least 10 characters.")
    return value


def _by_country(
    _context: click.Context, _option: click.Parameter, values: tuple[str, ...]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in values:
        country, _equals, mode = value.partition("=")
        if country not in dict(countries()) or mode not in set(PrivacyMode):
            raise click.BadParameter("Use a country's two letters and a mode: DE=organisation.")
        if found.setdefault(country, mode) != mode:
            raise click.BadParameter(f"{country} can have one mode only.")
    return found


@portal.command()
@click.option("--company", prompt="Company")
@click.option("--timezone", prompt="Time zone", default="Europe/Berlin", callback=_zone)
@click.option("--admin-name", prompt="First administrator's name")
@click.option("--admin-email", prompt="First administrator's e-mail address")
@click.option(
    "--smtp-url",
    prompt="Mail server (smtp://user:password@host:587, empty: none)",
    default="",
    show_default=False,
)
@click.option("--mail-from", prompt="Sender of all mail", default="portal@localhost")
@click.option(
    "--privacy-mode",
    prompt="Privacy mode",
    default=PrivacyMode.pseudonymous.value,
    type=click.Choice([mode.value for mode in PrivacyMode]),
)
@click.option(
    "--privacy-country",
    multiple=True,
    metavar="COUNTRY=MODE",
    callback=_by_country,
    help="Another privacy mode for partners of a country, such as DE=organisation; repeatable.",
)
@click.password_option(
    "--admin-password", prompt="First administrator's password", callback=_long_enough
)
@click.pass_obj
def setup(
    settings: Settings,
    company: str,
    timezone: str,
    admin_name: str,
    admin_email: str,
    smtp_url: str,
    mail_from: str,
    privacy_mode: str,
    privacy_country: dict[str, str],
    admin_password: str,
) -> None:
    """Set the portal up: company, time zone, first administrator, mail, privacy mode."""
    app = _app(settings, ready=False)
    hashed = hash_password(admin_password)
    # Checked before anything is written, with the same rules as at every start.
    mail = {"PORTAL_SMTP_URL": smtp_url, "PORTAL_MAIL_FROM": mail_from}
    Settings.from_environ({"PORTAL_DATA_DIR": str(settings.data_dir), **mail})
    with app.app_context():
        migrate_up()
        with write() as session:
            accounts.set_up(
                session,
                company=company,
                timezone=timezone,
                privacy_mode=privacy_mode,
                privacy_by_country=privacy_country,
            )
            ensure_policy(session, now())
            admin = accounts.add_user(
                session, email=admin_email, name=admin_name, role=Role.admin, partner_id=None
            )
            admin.password_hash, admin.joined_at = hashed, now()
    save_settings(settings.data_dir, {name: value for name, value in mail.items() if value})
    click.echo(f"{company} is set up. {admin_email} can sign in at {settings.url}.")


@portal.group()
def users() -> None:
    """People with access."""


@users.command()
@click.argument("email")
@click.option("--name", prompt="Name")
@click.option("--role", prompt="Role", type=click.Choice([role.value for role in Role]))
@click.option("--partner", default="", help="Name of the partner, for partner roles.")
@click.password_option(help="At least 10 characters.", callback=_long_enough)
@click.pass_obj
def add(settings: Settings, email: str, name: str, role: str, partner: str, password: str) -> None:
    """Add a person who can sign in at once."""
    hashed = hash_password(password)
    with _app(settings).app_context(), write() as session:
        partner_id = _partner_id(partner) if partner else None
        if (role in (Role.partner_user, Role.partner_admin)) != (partner_id is not None):
            raise click.ClickException("Partner roles need --partner; vendor roles have none.")
        user = accounts.add_user(session, email=email, name=name, role=role, partner_id=partner_id)
        user.password_hash, user.joined_at = hashed, now()
    click.echo(f"{email} can sign in at {settings.url}.")


def _partner_id(name: str) -> uuid.UUID:
    found = [row for row in accounts.partners(db.session()) if row.name == name]
    if len(found) != 1:
        raise click.ClickException(f"There are {len(found)} partners called {name!r}.")
    return found[0].id


@portal.group(name="jobs")
def job_commands() -> None:
    """What runs by itself."""


@job_commands.command(name="run")
@click.argument("name", type=click.Choice(list(jobs.JOBS)))
@click.pass_obj
def run_job(settings: Settings, name: str) -> None:
    """Run one job by hand."""
    with _app(settings).app_context():
        click.echo(f"{name}: {jobs.run_now(name)} done")


@portal.group(name="import")
def import_commands() -> None:
    """Bring in what other systems know."""


def _columns(words: Iterable[str], mapped: Iterable[str]) -> tuple[Path, dict[str, str]]:
    """The one file that was named, and which column holds which field."""
    words = list(words)
    files = [word for word in words if "=" not in word or Path(word).exists()]
    if len(files) != 1:
        raise click.UsageError("Name one file.")
    return Path(files[0]), _pairs([*mapped, *(word for word in words if word not in files)])


def _import(
    settings: Settings, kind_name: str, path: Path, choices: Choices, dry_run: bool, refused: str
) -> None:
    """Import a file as its page does, and say what became of it."""
    with _app(settings).test_request_context():
        kind, sheet = kind_called(kind_name), sheets.read(path.read_bytes())
        for name, column in kind.mapping_for(sheet, choices.mapping).items():
            click.echo(f"{name:<16} from {column}")
        outcome = kind.run(sheet, choices, Source(path.name, dry_run=dry_run))
        for sentence in outcome.explained():
            click.echo(sentence)
        if dry_run:
            click.echo("Nothing was written.")
        if refused:
            Path(refused).write_text(sheets.refused_csv(sheet, outcome.refused), encoding="utf-8")
            click.echo(f"{len(outcome.refused)} refused rows are in {refused}.")


def _of_a_file(command: Callable[..., None]) -> Callable[..., None]:
    """What every import takes."""
    for decorate in (
        click.pass_obj,
        click.option(
            "--refused",
            type=click.Path(),
            default="",
            help="Where to write the rows that are refused.",
        ),
        click.option("--dry-run", is_flag=True, help="Say what would happen, and write nothing."),
        click.option("--create", is_flag=True, help="Make what is named and missing, as partners."),
        click.option(
            "--map",
            "mapped",
            multiple=True,
            metavar="FIELD=COLUMN",
            help="Which column holds a field.",
        ),
        click.argument("words", nargs=-1, required=True, metavar="FILE [FIELD=COLUMN ...]"),
    ):
        command = decorate(command)
    return command


@import_commands.command(name="deals")
@click.option(
    "--map-stage",
    "stages",
    multiple=True,
    metavar="WORD=STAGE",
    help="What a word for a stage or status means.",
)
@click.option(
    "--map-type", "types", multiple=True, metavar="WORD=KIND", help="What a kind of deal means."
)
@click.option(
    "--map-loss", "losses", multiple=True, metavar="WORD=REASON", help="What a reason means."
)
@click.option("--currency", default="EUR", show_default=True, help="Where the file names none.")
@click.option(
    "--dates",
    type=click.Choice([order.value for order in Order]),
    default=None,
    help="What comes first in dates like 3/4/2026; usually found from the file.",
)
@_of_a_file
def import_deals(
    settings: Settings,
    words: tuple[str, ...],
    mapped: tuple[str, ...],
    stages: tuple[str, ...],
    types: tuple[str, ...],
    losses: tuple[str, ...],
    create: bool,
    currency: str,
    dates: str | None,
    dry_run: bool,
    refused: str,
) -> None:
    """Import deals from a CSV or XLSX FILE: all that can be used, or nothing.

    A row is known by its external_id, or by the reference that the deal has here. What was
    registered here stays as it is, but for orders that the file confirms with an order_number.

    Fields: external_id reference partner customer known_customer domain tax_id country postcode
    contact product_family type status stage first_contact submitted decided closed expected_close
    amount currency won_amount won_currency order_number contract_ends loss_reason protected_from
    protected_until.
    """
    path, columns = _columns(words, mapped)
    meanings = {"stage": _pairs(stages), "type": _pairs(types), "loss_reason": _pairs(losses)}
    choices = Choices(columns, create, currency.upper(), dates or "", meanings)
    _import(settings, "deals", path, choices, dry_run, refused)


def _add_import(name: str, text: str) -> None:
    """A command for a kind of file that needs nothing said beside its columns."""

    @import_commands.command(name=name, help=text)
    @_of_a_file
    def command(
        settings: Settings,
        words: tuple[str, ...],
        mapped: tuple[str, ...],
        create: bool,
        dry_run: bool,
        refused: str,
    ) -> None:
        path, columns = _columns(words, mapped)
        _import(settings, name, path, Choices(columns, create), dry_run, refused)


_add_import(
    "partners",
    """Import partners from a CSV or XLSX FILE: new ones are made, known ones brought up to date.

    Fields: external_id name tier region type country languages manager.
    """,
)
_add_import(
    "people",
    """Import people from a CSV or XLSX FILE. An administrator releases their invitations.

    Fields: name email role partner language.
    """,
)
_add_import(
    "accounts",
    """Import the vendor's known accounts from a CSV or XLSX FILE: new ones are made, known ones
    brought up to date.

    Fields: external_id name domain tax_id country postcode product_family owner first_contact.
    """,
)
_add_import(
    "leads",
    """Import leads from a CSV or XLSX FILE. Each is offered to the partner that it names, or to
    those that the rules find.

    Fields: external_id company contact email phone country region product_family partner note.
    """,
)
_add_import(
    "rates",
    """Import exchange rates to the reporting currency from a CSV or XLSX FILE.

    Fields: currency day rate.
    """,
)


@import_commands.command(name="baselines")
@click.option("--currency", default="EUR", show_default=True, help="Where the file names none.")
@_of_a_file
def import_baselines(
    settings: Settings,
    words: tuple[str, ...],
    mapped: tuple[str, ...],
    create: bool,
    currency: str,
    dry_run: bool,
    refused: str,
) -> None:
    """Import figures of the months before the portal from a CSV or XLSX FILE.

    Fields: month metric value partner currency.
    """
    path, columns = _columns(words, mapped)
    choices = Choices(columns, create, currency.upper())
    _import(settings, "baselines", path, choices, dry_run, refused)


def _pairs(texts: Iterable[str]) -> dict[str, str]:
    pairs = [text.split("=", 1) for text in texts]
    if any(len(pair) != 2 for pair in pairs):
        raise click.UsageError("Write NAME=VALUE.")
    return {name.strip(): value.strip() for name, value in pairs}


@portal.group()
def report() -> None:
    """Numbers, for people and programs."""


def _of_a_period(command: Callable[..., None]) -> Callable[..., None]:
    """What every report on deals and leads may be asked."""
    options = (
        click.option("--from", "since", type=click.DateTime(["%Y-%m-%d"]), required=True),
        click.option(
            "--to",
            "until",
            type=click.DateTime(["%Y-%m-%d"]),
            required=True,
            help="The day after the last.",
        ),
        click.option("--tier", default="", help="Only partners of this tier."),
        click.option("--region", default="", help="Only partners of this region."),
        click.option("--partner", default="", help="Only the partner of this name."),
        click.option("--family", default="", help="Only the product family of this name."),
        click.option("--json", "as_json", is_flag=True, help="One object, for a program."),
    )
    for option in reversed(options):
        command = option(command)
    return click.pass_obj(command)


def _report(
    settings: Settings,
    make: Callable[[outcomes.Outcomes], dict[str, Any]],
    as_json: bool,
    *,
    since: datetime,
    until: datetime,
    tier: str,
    region: str,
    partner: str,
    family: str,
) -> None:
    """Print the figures of a period, for a program or for people."""
    if not since < until:
        raise click.UsageError("--from must come before --to.")
    with _app(settings).test_request_context():
        filters = Filters(
            tier,
            region,
            _partner_id(partner) if partner else None,
            _family_id(family) if family else None,
        )
        period = Period(since.date(), until.date(), "days")
        values = make(outcomes.found(db.session(), period, accounts.zone(), filters))
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    for name, value in values.items():
        if not isinstance(value, dict | list) or name == "revenue":
            click.echo(f"{name:<32} {value}")


@report.command(name="deals")
@_of_a_period
def report_deals(settings: Settings, as_json: bool, **asked: Any) -> None:
    """What became of deals in the days from --from until before --to."""
    _report(settings, outcomes.as_json, as_json, **asked)


@report.command(name="leads")
@_of_a_period
def report_leads(settings: Settings, as_json: bool, **asked: Any) -> None:
    """What became of leads in the days from --from until before --to."""
    _report(settings, leads.as_json, as_json, **asked)


@report.command(name="satisfaction")
@click.option("--from", "since", type=click.DateTime(["%Y-%m-%d"]), help="First day.")
@click.option("--to", "until", type=click.DateTime(["%Y-%m-%d"]), help="The day after the last.")
@click.option(
    "--between",
    nargs=2,
    type=click.UUID,
    multiple=True,
    metavar="WAVE WAVE",
    help="Compare these two waves; repeatable. Usually each is compared with the one before.",
)
@click.option("--json", "as_json", is_flag=True, help="One object, for a program.")
@click.pass_obj
def report_satisfaction(
    settings: Settings,
    since: datetime | None,
    until: datetime | None,
    between: tuple[tuple[uuid.UUID, uuid.UUID], ...],
    as_json: bool,
) -> None:
    """How satisfied partners are: the waves opened from --from until before --to."""
    with _app(settings).test_request_context():
        session, zone = db.session(), accounts.zone()
        past = history.load(session)
        wanted = satisfaction.within(
            past, since.date() if since else None, until.date() if until else None, zone
        )
        if between:
            pairs = [(_round(past, one), _round(past, other)) for one, other in between]
        else:
            before = [(past.before(one), one) for one in wanted]
            pairs = [(one, after) for one, after in before if one is not None]
        values = satisfaction.as_json(session, past, wanted, pairs)
        lines = [
            f"{satisfaction.wave_name(one, zone):<40} "
            f"company {_mean(one.company)}  experience {_mean(one.experience)}  "
            f"people {one.people_answered} of {one.people_invited}  "
            f"partners {one.partners_answered} of {one.partners_invited}"
            for one in wanted
        ]
    click.echo(json.dumps(values, indent=2) if as_json else "\n".join(lines))


def _mean(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _round(past: history.History, key: uuid.UUID) -> history.Round:
    found = past.get(key)
    if found is None:
        raise click.ClickException(f"There is no wave {key}.")
    return found


def _family_id(name: str) -> uuid.UUID:
    found = [row.id for row in library.families(db.session()) if row.name == name]
    if len(found) != 1:
        raise click.ClickException(f"There are {len(found)} product families called {name!r}.")
    return found[0]


@portal.command(name="verify")
@click.pass_obj
def verify_numbers(settings: Settings) -> None:
    """Compare every number with the rows behind it; prints the differences, which must be none."""
    with _app(settings).app_context():
        # What was reported a moment ago is counted first, as the scheduler would.
        rollups.rebuild_marked(db.engine, accounts.zone(), at_once=True)
        with db.engine.connect() as connection:
            _say_sealed(verify.sealed_days(connection))
        found = 0
        for line in verify.differences(db.engine, accounts.zone(), _say_waiting):
            click.echo(line)
            found += 1
    if found:
        sys.exit(1)


def _say_sealed(days: list[date]) -> None:
    if days:
        text = (
            f"{len(days)} days up to {days[-1]} are sealed: their raw rows are gone by retention."
        )
        click.echo(text, err=True)


def _say_waiting(days: list[date]) -> None:
    names = ", ".join(map(str, days))
    text = f"Not compared, because reports have come that are not counted yet: {names}."
    click.echo(text, err=True)


@portal.command()
@click.option("--from", "since", type=click.DateTime(["%Y-%m-%d"]), help="First day.")
@click.option("--to", "until", type=click.DateTime(["%Y-%m-%d"]), help="Last day.")
@click.pass_obj
def rebuild(settings: Settings, since: datetime | None, until: datetime | None) -> None:
    """Compute the days again from the rows behind them."""
    with _app(settings).app_context():
        zone = accounts.zone()
        first = since.date() if since else date.min
        last = until.date() if until else date.max
        with db.engine.connect() as connection:
            days = verify.days_with_rows(connection, zone)
            sealed = [day for day in verify.sealed_days(connection) if first <= day <= last]
        _say_sealed(sealed)
        wanted = [day for day in days if first <= day <= last]
        rollups.mark(db.engine, wanted)
        click.echo(f"{rollups.rebuild_marked(db.engine, zone, at_once=True)} days rebuilt")


def main() -> None:
    """Entry point of the `portal` command."""
    try:
        portal()
    except (BadSetting, PortalError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
