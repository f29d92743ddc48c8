"""The commands behind make. Their options may come as environment variables."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from ops.admin import accounts, apps, migrations
from ops.admin import dead_letters as letters
from ops.admin import partition as partitions
from ops.admin.accounts import create_account
from ops.admin.import_keys import make_import_key
from ops.admin.recompute import Scope, await_recompute, mark_stale, pending
from ops.admin.redis_prompt import open_prompt
from ops.backups import commands as backups
from ops.backups.programs import find_program, reaching
from ops.embedded.servers import servers
from ops.monitoring import commands as monitoring
from ops.processes import Supervisor, spawn, stop_on_signals
from ops.variables import Address, RideFile, variable
from shared.credentials import SCOPES
from shared.settings import bytes_of, read_settings

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
LETTER = click.IntRange(1, 2**63 - 1)


@click.group()
@variable("--data-dir", envvar="DATA_DIR", default=".data", type=click.Path(path_type=Path))
@click.pass_context
def main(context: click.Context, data_dir: Path) -> None:
    """Bike Power Tracker operations."""
    context.obj = data_dir.resolve()


@contextmanager
def _servers(context: click.Context) -> Iterator[dict[str, str]]:
    with servers(os.environ, context.obj) as environ:
        yield environ


@main.command()
@variable("--port", envvar="PORT", type=click.IntRange(0, 65535))
@variable("--ride", envvar="RIDE", type=RideFile(), help="A file, or none.")
@variable("--once", is_flag=True, help="Exit once the ride is completed.")
@click.pass_obj
def run(data_dir: Path, port: int | None, ride: Path | None, once: bool) -> None:
    """Play a ride through everything, then serve."""
    from ops.demo.run import run as run_all

    run_all(os.environ, data_dir, port=port, ride=ride, forever=not once)


@main.command()
@click.pass_context
def api(context: click.Context) -> None:
    """Run one API process."""
    with _servers(context) as environ:
        _serve("api", 1, environ, context.obj)


@main.command()
@variable("--count", envvar="N", default=1, type=click.IntRange(1, 256))
@click.pass_context
def worker(context: click.Context, count: int) -> None:
    """Run worker processes."""
    with _servers(context) as environ:
        _serve("worker", count, environ, context.obj)


@main.command()
@variable("--all-or-none", is_flag=True, help="If one fails, roll those before it back, too.")
@click.pass_context
def migrate(context: click.Context, all_or_none: bool) -> None:
    """Apply the migrations that are missing."""
    with _servers(context) as environ:
        applied = migrations.apply(environ["DATABASE_URL"], all_or_none=all_or_none)
    click.echo("\n".join(f"applied {each}" for each in applied) or "nothing to apply")


@main.command()
@click.pass_context
def migrate_status(context: click.Context) -> None:
    """List the migrations, and which are applied."""
    with _servers(context) as environ:
        for migration, applied in migrations.status(environ["DATABASE_URL"]):
            click.echo(f"{'applied' if applied else 'missing'}  {migration}")


@main.command()
@click.pass_context
def rollback(context: click.Context) -> None:
    """Roll the newest migration back."""
    with _servers(context) as environ:
        for migration in migrations.roll_back(environ["DATABASE_URL"]):
            click.echo(f"rolled back {migration}")


@main.command()
@variable("--abandon", envvar="ABANDON", is_flag=True, help="Drop what is not finished.")
@click.pass_context
def partition(context: click.Context, abandon: bool) -> None:
    """Put the samples into partitions, while all goes on.

    May be killed, and run again: what is copied is not copied again.
    """
    with _servers(context) as environ:
        if abandon:
            partitions.abandon(environ["DATABASE_URL"])
        for line in () if abandon else partitions.partition(environ["DATABASE_URL"]):
            click.echo(line)


@main.command()
@variable("--yes", envvar="YES", is_flag=True, help="Do not ask.")
@click.pass_context
def reset_db(context: click.Context, yes: bool) -> None:
    """Throw every row away: roll everything back and apply it again."""
    if not yes:
        click.confirm("This deletes every user and workout. Go on?", abort=True)
    with _servers(context) as environ:
        migrations.empty(environ["DATABASE_URL"])
        migrations.roll_back(environ["DATABASE_URL"], everything=True)
        for migration in migrations.apply(environ["DATABASE_URL"]):
            click.echo(f"applied {migration}")


@main.command()
@variable(
    "--id",
    "letter_id",
    envvar="ID",
    type=LETTER,
    help="Show all of one, its traceback too.",
)
@click.pass_context
def dead_letters(context: click.Context, letter_id: int | None) -> None:
    """Show what the workers gave up on, and why."""
    with _servers(context) as environ:
        found = letters.read_letters(environ["DATABASE_URL"], letter_id)
        paused = letters.consumption_is_paused(read_settings(environ))
    if letter_id is None:
        click.echo(letters.summarize(found) or "no dead letters")
    elif not found:
        raise click.ClickException(f"there is no dead letter {letter_id}")
    else:
        click.echo(letters.describe(found[0]))
    if paused:
        click.echo("\nMost folds fail now: the workers try one now and then, and give few up.")


@main.command()
@variable("--id", "letter_id", envvar="ID", type=LETTER)
@variable("--all", "everything", envvar="ALL", is_flag=True)
@click.pass_context
def replay(context: click.Context, letter_id: int | None, everything: bool) -> None:
    """Give dead letters back to the workers."""
    if (letter_id is None) != everything:
        raise click.UsageError("say ID=… of one that `make dead-letters` shows, or ALL=1")
    with _servers(context) as environ:
        count = letters.replay(read_settings(environ), letter_id)
    click.echo(f"given back to the workers: {count}")


@main.command()
@variable("--name", envvar="NAME", required=True, help="What it does: add_laps.")
def migration(name: str) -> None:
    """Write the two empty files of a new migration."""
    if not re.fullmatch(r"[A-Za-z][\w ]*", name):
        raise click.BadParameter(f"{name!r} is no name of words", param_hint="NAME")
    for path in migrations.create(name):
        click.echo(f"wrote {path}")


@main.command()
@variable("--email", envvar="EMAIL", required=True, help="The user's address.")
@variable("--key-name", envvar="KEY_NAME", default="make user")
@click.pass_context
def user(context: click.Context, email: str, key_name: str) -> None:
    """Create a user, and print a key that is never shown again."""
    if "@" not in email.strip("@"):
        raise click.BadParameter(f"{email!r} is no email address", param_hint="EMAIL")
    with _servers(context) as environ:
        account = create_account(environ["DATABASE_URL"], email, key_name)
    known = "" if account.is_new else " exists already; this is a further key"
    click.echo(f"user {account.user_id} {account.email}{known}", err=True)
    click.echo(account.api_key)


@main.command()
@click.pass_context
def users(context: click.Context) -> None:
    """List the users."""
    with _servers(context) as environ:
        found = accounts.read_users(environ["DATABASE_URL"])
    for each in found:
        seen = (
            f"last seen {each['last_seen_at']:%Y-%m-%d}" if each["last_seen_at"] else "never seen"
        )
        shut = ", disabled" if each["disabled_at"] else ""
        since = f"since {each['created_at']:%Y-%m-%d}"
        counts = f"{each['rides']} rides, {each['keys']} keys"
        click.echo(f"{each['email']}: {since}, {seen}, {counts}{shut}")


@main.command()
@click.pass_context
def storage(context: click.Context) -> None:
    """List what is stored of each user, the largest first."""
    with _servers(context) as environ:
        found = accounts.read_storage(environ["DATABASE_URL"])
        quota = bytes_of(read_settings(environ).storage_quota)
    for each in found:
        total = each["originals"] + each["samples"]
        share = f", {100 * total / quota:.0f} % of the quota" if quota else ""
        sizes = f"originals {each['originals']}, samples {each['samples']} bytes"
        click.echo(f"{each['email']}: {sizes}{share}")


@main.command()
@variable("--email", envvar="EMAIL", required=True, help="The user's address.")
@variable("--name", envvar="NAME", default="make key")
@variable("--scopes", envvar="SCOPES", default="upload", help="Of upload, read, admin.")
@variable("--expires", envvar="EXPIRES", type=click.DateTime(), help="UTC.")
@click.pass_context
def key(
    context: click.Context, email: str, name: str, scopes: str, expires: datetime | None
) -> None:
    """Print a further key of a user, never shown again."""
    chosen = [each.strip() for each in scopes.split(",") if each.strip()]
    if not chosen or set(chosen) - set(SCOPES):
        raise click.BadParameter(f"{scopes!r}: of {', '.join(SCOPES)}", param_hint="SCOPES")
    until = expires and expires.replace(tzinfo=UTC)
    with _servers(context) as environ:
        made = accounts.create_key(environ["DATABASE_URL"], email, name, chosen, until)
    click.echo(made.api_key)


@main.command()
@variable("--email", envvar="EMAIL", required=True, help="The user's address.")
@click.pass_context
def keys(context: click.Context, email: str) -> None:
    """List a user's keys that open, without their secrets."""
    with _servers(context) as environ:
        found = accounts.read_keys(environ["DATABASE_URL"], email)
    for each in found:
        used = f"used {each['last_used_at']:%Y-%m-%d}" if each["last_used_at"] else "never used"
        until = f", until {each['expires_at']:%Y-%m-%d}" if each["expires_at"] else ""
        kind = "session" if each["session"] else ",".join(each["scopes"])
        click.echo(f"{each['id']}  {each['name']}: {kind}, {used}{until}")


@main.command()
@variable("--key", "key_id", envvar="KEY", required=True, help="Its id, or the whole key.")
@click.pass_context
def revoke(context: click.Context, key_id: str) -> None:
    """Make a key open nothing more."""
    with _servers(context) as environ:
        accounts.revoke_key(environ["DATABASE_URL"], key_id)
    click.echo("revoked: it opens nothing more, everywhere within five seconds")


@main.command()
@variable("--name", envvar="NAME", required=True, help="What riders know it by.")
@variable("--redirect-uri", envvar="REDIRECT_URI", required=True, help="Several: with spaces.")
@variable("--confidential", envvar="CONFIDENTIAL", is_flag=True, help="It can keep a secret.")
@click.pass_context
def app(context: click.Context, name: str, redirect_uri: str, confidential: bool) -> None:
    """Register an app of others; print its client id, and a secret that is never shown again."""
    with _servers(context) as environ:
        made = apps.create_app(
            environ["DATABASE_URL"], name, redirect_uri.split(), confidential=confidential
        )
    click.echo(f"client_id {made.client_id}")
    if made.secret:
        click.echo(f"client_secret {made.secret}")


@main.command("apps")
@click.pass_context
def list_apps(context: click.Context) -> None:
    """List the apps of others, with who has registered them."""
    with _servers(context) as environ:
        found = apps.read_apps(environ["DATABASE_URL"])
    for each in found:
        kind = "confidential" if each["confidential"] else "public"
        by = each["email"] or "the operator"
        where = " ".join(each["redirect_uris"])
        riders = f"{each['riders']} riders"
        click.echo(f"{each['id']}  {each['name']}: {kind}, by {by}, let in by {riders}, {where}")


@main.command()
@variable("--app", "client_id", envvar="APP", required=True, help="Its client id.")
@click.pass_context
def end_app(context: click.Context, client_id: str) -> None:
    """Delete an app; riders who have let it in are rid of it."""
    with _servers(context) as environ:
        name = apps.end_app(environ["DATABASE_URL"], client_id)
    click.echo(f"{name} is gone: its tokens open nothing more, everywhere within five seconds")


@main.command()
@variable("--email", envvar="EMAIL", required=True, help="The user's address.")
@variable("--undo", envvar="UNDO", is_flag=True, help="Let the user in again.")
@click.pass_context
def disable_user(context: click.Context, email: str, undo: bool) -> None:
    """Shut a user out; nothing is deleted."""
    with _servers(context) as environ:
        accounts.set_disabled(environ["DATABASE_URL"], email, disabled=not undo)
    click.echo(f"{email} is {'let in again' if undo else 'shut out'}, within five seconds")


@main.command()
@variable("--days", envvar="DAYS", default=7, type=click.IntRange(1, 3650))
@click.pass_context
def invite(context: click.Context, days: int) -> None:
    """Print a code that makes one account, where REGISTRATION=invite."""
    with _servers(context) as environ:
        registration = read_settings(environ).registration
        code = accounts.create_invitation(environ["DATABASE_URL"], days * 86_400)
    until = datetime.now(UTC) + timedelta(days=days)
    if registration == "invite":
        click.echo(f"makes one account, until {until:%Y-%m-%d %H:%M} UTC", err=True)
    else:
        said = "nobody needs a code" if registration == "open" else "no code makes an account"
        click.echo(f"REGISTRATION is {registration}: {said} until it is `invite`", err=True)
    click.echo(code)


@main.command()
@variable("--email", envvar="EMAIL", required=True, help="The user's address.")
@click.pass_context
def reset_password(context: click.Context, email: str) -> None:
    """Print a new password of a user; whoever is logged in is logged out."""
    with _servers(context) as environ:
        click.echo(accounts.reset_password(environ["DATABASE_URL"], email))


@main.command()
@variable("--user", help="Only the workouts of this address.")
@variable("--since", envvar="SINCE", type=click.DateTime(), help="Only those since (UTC).")
@click.pass_context
def recompute(context: click.Context, user: str | None, since: datetime | None) -> None:
    """Compute the figures of archived workouts anew, by the workers.

    May be broken off: the marked rows remember, and the workers go on.
    """
    scope = Scope(user, since and since.replace(tzinfo=UTC))
    with _servers(context) as environ:
        url = environ["DATABASE_URL"]
        mark_stale(url, scope)
        click.echo(f"{pending(url, scope)} workouts to compute anew")
        await_recompute(url, scope, lambda count: click.echo(f"{count} to do"))
    click.echo("done")


@main.command("import")
@variable("--files", envvar="FILES", help="Files, folders, zips and patterns.")
@variable("--watch", envvar="WATCH", type=FOLDER, help="A folder.")
@variable("--user", help="Whose rides they are; needed unless there is one user.")
@click.pass_obj
def import_files(data_dir: Path, files: str | None, watch: Path | None, user: str | None) -> None:
    """Import rides from files."""
    from ops.importing.command import Wanted
    from ops.importing.command import import_files as import_all

    if not (files or watch):
        raise click.UsageError("say FILES=… (files, folders, zips or patterns), or WATCH=folder")
    sys.exit(import_all(Wanted(files, watch, user), os.environ, data_dir))


@main.command()
@variable("--user", help="Whose rides they are; needed unless there is one user.")
@click.pass_context
def import_key(context: click.Context, user: str | None) -> None:
    """Print a key for `import`, which ends it."""
    with _servers(context) as environ:
        click.echo(make_import_key(environ["DATABASE_URL"], user))


@main.command()
@variable("--riders", envvar="RIDERS", default=10, type=click.IntRange(1, 5000))
@variable("--minutes", envvar="MINUTES", default=10.0, type=click.FloatRange(0.05, 1440))
@variable("--speed", envvar="SPEED", default=1.0, type=click.FloatRange(0.1, 1000))
@variable("--by", envvar="BY", default="batches", type=click.Choice(["batches", "streams"]))
@variable("--seed", envvar="SEED", default=1, type=click.IntRange(0))
@variable("--url", envvar="URL", type=Address(), help="Of the API; without it, this checkout's.")
@variable("--key", envvar="KEY", help="Of the user who rides; without it, many do.")
@click.pass_obj
def simulate(
    data_dir: Path,
    riders: int,
    minutes: float,
    speed: float,
    by: str,
    seed: int,
    url: str | None,
    key: str | None,
) -> None:
    """Have live riders ride, and show what goes through."""
    from ops.simulation.command import simulate as simulate_all
    from ops.simulation.run import Wanted

    wanted = Wanted(riders, minutes, speed, by, seed, url, key)
    sys.exit(simulate_all(wanted, os.environ, data_dir))


@main.command()
@variable("--id", "workout_id", envvar="ID", help="Of the ride.")
@variable("--stream", envvar="STREAM", help="The name of a stream, in place of a ride.")
@variable("--url", envvar="URL", type=Address(), help="Of the API; without it, that of `make run`.")
@variable("--key", envvar="KEY", help="Of the rider; without it, that of `make run`.")
@click.pass_obj
def watch(
    data_dir: Path, workout_id: str | None, stream: str | None, url: str | None, key: str | None
) -> None:
    """Follow a ride, or a stream of messages."""
    from ops.live.command import server_of, watch_ride, watch_stream

    server = server_of(url, key, data_dir)
    if workout_id:
        watch_ride(server, workout_id)
    elif stream:
        watch_stream(server, stream)
    else:
        raise click.UsageError("say ID=… of a ride, or STREAM=… of its messages")


@main.command()
@click.argument("arguments", nargs=-1)
@click.pass_context
def psql(context: click.Context, arguments: tuple[str, ...]) -> None:
    """Open psql on the database."""
    with _servers(context) as environ:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is psql's
        database, with_password = reaching(environ["DATABASE_URL"])
        command = [find_program("psql"), database, *arguments]
        sys.exit(subprocess.call(command, env=with_password))


@main.command()
@click.argument("command", nargs=-1)
@click.pass_context
def redis_cli(context: click.Context, command: tuple[str, ...]) -> None:
    """Open a prompt on Redis."""
    with _servers(context) as environ:
        sys.exit(open_prompt(environ["REDIS_URL"], command))


for command in (*backups.COMMANDS, *monitoring.COMMANDS):
    main.add_command(command)


def _serve(module: str, count: int, environ: dict[str, str], data_dir: Path) -> None:
    """Run processes of ours in the foreground until a signal comes.

    Those of this checkout share METRICS_PORT, if it is set.
    """
    stop_on_signals()
    environ = {"METRICS_DIR": str(data_dir / "metrics"), "DATA_DIR": str(data_dir), **environ}
    with Supervisor() as supervisor:
        for _ in range(count):
            supervisor.start(
                lambda: spawn([sys.executable, "-m", module], log=None, environ=environ)
            )
        supervisor.watch(lambda event: click.echo(event, err=True))
