"""The commands of backups: `make backup`, `backup-every`, `restore` and `restore-drill`."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import IO, Final

import click

from ops.backups import folder as backup_files
from ops.backups.backup import back_up, restore, rides_in
from ops.backups.base import base_before, take_base
from ops.backups.drill import drill
from ops.backups.encryption import decrypted, encrypted
from ops.backups.manifest import Manifest
from ops.backups.taking import Plan, take, take_every, whole_or_not
from ops.embedded.recovery import recover
from ops.embedded.servers import servers
from ops.private_files import create_private
from ops.processes import ProcessFailed, stop_on_signals
from ops.variables import variable

_DEFAULT_KEEP: Final = 14  # of a schedule
_KEPT = click.IntRange(1, 100_000)
_file = variable("--file", envvar="FILE", help="Which; - for standard input.")
_folder = variable(
    "--folder",
    envvar="BACKUP_DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Of backups; .data/backups.",
)
_recipient = variable(
    "--recipient", envvar="BACKUP_RECIPIENT", default="", help="A public key of age or GnuPG."
)
_identity = variable(
    "--identity", envvar="BACKUP_IDENTITY", default="", help="A file of age's private key."
)


@click.command()
@variable("--file", envvar="FILE", help="Where to; - for standard output.")
@_folder
@variable("--keep", envvar="KEEP", type=_KEPT, help="Delete all but the newest so many.")
@_recipient
@click.pass_obj
def backup(
    data_dir: Path, file: str | None, folder: Path | None, keep: int | None, recipient: str
) -> None:
    """Back up the database and the samples not yet folded."""
    with servers(os.environ, data_dir) as environ:
        if file:
            made = _write(file, recipient, environ)
        else:
            plan = Plan(folder or data_dir / "backups", keep, recipient)
            path, made = take(plan, environ, datetime.now(UTC))
            file = str(path)
            if archive := _archive():
                click.echo(f"wrote {take_base(environ['DATABASE_URL'], archive, keep)}", err=True)
    click.echo(f"wrote {file}", err=True)
    for each in made.not_in_backup[:-2]:
        click.echo(f"not in it: {each}", err=True)


def _write(file: str, recipient: str, environ: dict[str, str]) -> Manifest:
    """To a file of any name, which is its owner's alone; nothing is counted or deleted."""
    urls = environ["DATABASE_URL"], environ["REDIS_URL"]
    with _target_of(file) as target, encrypted(target, recipient) as plain:
        made = back_up(*urls, plain, environ.get("ORIGINALS_URL", ""))
    if file != "-" and Path(file).is_file():  # and no device
        backup_files.write_checksum(Path(file))
    return made


def _target_of(file: str) -> AbstractContextManager[IO[bytes]]:
    """Standard output, a device, or a file that is whole or not there."""
    if file == "-":
        return click.open_file(file, "wb")
    path = Path(file)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_device = path.exists() and not path.is_file()
    return create_private(path) if is_device else whole_or_not(path)


@click.command()
@variable(
    "--hours", envvar=["HOURS", "BACKUP_HOURS"], default=24.0, type=click.FloatRange(0.001, 8760)
)
@_folder
@variable("--keep", envvar="KEEP", default=_DEFAULT_KEEP, type=_KEPT)
@_recipient
@click.pass_obj
def backup_every(
    data_dir: Path, hours: float, folder: Path | None, keep: int, recipient: str
) -> None:
    """Back up again and again; a backup that fails is tried again."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stop_on_signals()
    plan = Plan(folder or data_dir / "backups", keep, recipient)

    def take_one() -> None:
        with servers(os.environ, data_dir) as environ:
            path, _ = take(plan, environ, datetime.now(UTC))
            if archive := _archive():
                take_base(environ["DATABASE_URL"], archive, keep)
        logging.getLogger(__name__).info("wrote %s", path)

    take_every(timedelta(hours=hours), plan, take_one, Event().wait)


@click.command("restore")
@_file
@variable("--force", "--yes", envvar=["FORCE", "YES"], is_flag=True)
@_identity
@click.pass_obj
def restore_command(data_dir: Path, file: str | None, force: bool, identity: str) -> None:
    """Replace the database by a backup; one with rides only if FORCE=1."""
    if not file:
        raise click.UsageError("say FILE=… (which; - for standard input)")
    with servers(os.environ, data_dir) as environ, _opened(file, identity) as source:
        rides = 0 if force else rides_in(environ["DATABASE_URL"])
        if rides:
            raise ProcessFailed(f"the database has {rides} rides: say FORCE=1 to replace them")
        count = restore(environ["DATABASE_URL"], environ["REDIS_URL"], source)
    click.echo(f"restored {file}; {count} batches wait to be folded")


@click.command()
@variable("--file", envvar="FILE", help="Which; the newest; - for standard input.")
@_folder
@variable("--rides", envvar="RIDES", default=20, type=click.IntRange(0, 1_000_000))
@_identity
@click.pass_obj
def restore_drill(
    data_dir: Path, file: str | None, folder: Path | None, rides: int, identity: str
) -> None:
    """Restore a backup into a scratch database, and say what differs."""
    file = file or _newest(folder or data_dir / "backups")
    with servers(os.environ, data_dir) as environ, _opened(file, identity) as source:
        found = drill(environ["DATABASE_URL"], environ["REDIS_URL"], source, rides)
    for each in found.wrong:
        click.echo(f"differs: {each}")
    click.echo(
        f"{file}: {found.rows} rows in {found.tables} tables, {found.batches} batches waiting,"
        f" {found.rides} rides computed anew"
    )
    if found.wrong:
        sys.exit(f"failed: {len(found.wrong)} differences")
    click.echo("all of it is the same")


@click.command()
@variable(
    "--time",
    "moment",
    envvar="TIME",
    required=True,
    help="2026-05-01 12:00, in UTC; latest: the end of the WAL.",
)
@variable("--timeline", envvar="TIMELINE", default="latest", help="Of an earlier recovery.")
@click.pass_obj
def restore_to(data_dir: Path, moment: str, timeline: str) -> None:
    """Bring the embedded PostgreSQL back to a moment."""
    archive, wanted = _archive(), _moment(moment)
    if archive is None:
        raise click.UsageError("say WAL_ARCHIVE=…; for servers of your own see docs/backups.md")
    base = base_before(archive, wanted or datetime.now(UTC))
    aside = recover(data_dir, archive, base, wanted, timeline)
    when = f"at {wanted:%Y-%m-%d %H:%M:%S %Z}" if wanted else "at the end of its WAL"
    click.echo(f"the database is as it was {when}, from {base.name}")
    if aside.exists():
        click.echo(f"what was there before is in {aside}: delete it when all is well")


def _archive() -> Path | None:
    """Where the embedded server's WAL is archived; None for another server, and without one."""
    named = os.environ.get("WAL_ARCHIVE")
    return Path(named) if named and not os.environ.get("DATABASE_URL") else None


def _moment(text: str) -> datetime | None:
    """None for the latest there is."""
    if text == "latest":
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        said = f"{text!r} is no time: 2026-05-01 12:00"
        raise click.BadParameter(said, param_hint="TIME") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _newest(backups: Path) -> str:
    whole = backup_files.backups_in(backups)
    if not whole:
        raise ProcessFailed(f"there is no backup in {backups}: run `make backup`")
    return str(whole[-1])


@contextmanager
def _opened(file: str, identity: str) -> Iterator[IO[bytes]]:
    """A backup that is not damaged, decrypted."""
    if file != "-":
        try:
            backup_files.check(Path(file))
        except backup_files.WrongChecksum as error:
            raise ProcessFailed(str(error)) from None
    with click.open_file(file, "rb") as source, decrypted(source, identity) as plain:
        yield plain


COMMANDS: Final = (backup, backup_every, restore_command, restore_drill, restore_to)
