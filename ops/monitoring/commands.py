"""The commands of this room."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from ops.embedded.servers import servers
from ops.monitoring import status as states
from ops.monitoring import tables
from ops.monitoring.doctor import examine, examine_without_servers, report
from ops.monitoring.findings import Patient
from shared.errors import TrackerError
from shared.settings import Settings, read_settings


@contextmanager
def _patient(data_dir: Path) -> Iterator[Patient]:
    with servers(os.environ, data_dir) as environ:
        backups = {"BACKUP_DIR": environ.get("BACKUP_DIR") or str(data_dir / "backups")}
        yield Patient(read_settings({**environ, **backups}), data_dir)


def _show(data_dir: Path, lines: Callable[[Settings], Iterator[str]]) -> None:
    with _patient(data_dir) as patient:
        for line in lines(patient.settings):
            click.echo(line)


@click.command()
@click.pass_obj
def doctor(data_dir: Path) -> None:
    """Look at everything, and say what is wrong and what to do."""
    try:
        with _patient(data_dir) as patient:
            count = report(examine(patient))
    except (TrackerError, OSError) as error:
        count = report(examine_without_servers(os.environ, data_dir, str(error)))
    click.echo(f"\nthings that are wrong: {count}" if count else "\nall is well")
    sys.exit(1 if count else 0)


@click.command()
@click.pass_obj
def status(data_dir: Path) -> None:
    """Show who runs, and how much waits."""
    with _patient(data_dir) as patient:
        for line in states.status(patient):
            click.echo(line)


@click.command()
@click.pass_obj
def lag(data_dir: Path) -> None:
    """Show how far the workers are behind."""
    with _patient(data_dir) as patient:
        for line in states.lag(patient):
            click.echo(line)


@click.command()
@click.pass_obj
def slow_queries(data_dir: Path) -> None:
    """Show the statements that took the most time."""
    _show(data_dir, tables.slow_queries)


@click.command()
@click.pass_obj
def table_sizes(data_dir: Path) -> None:
    """Show the size of each table."""
    _show(data_dir, tables.table_sizes)


@click.command()
@click.pass_obj
def connections(data_dir: Path) -> None:
    """Show who is connected to PostgreSQL."""
    _show(data_dir, tables.connections)


@click.command()
@click.pass_obj
def vacuum(data_dir: Path) -> None:
    """Clean the tables up, and count their rows for the planner."""
    _show(data_dir, tables.vacuum)


COMMANDS = (doctor, status, lag, slow_queries, table_sizes, connections, vacuum)
