"""`make doctor`: looks at everything, and says what is wrong and what to do."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import psycopg
import redis

from ops.monitoring import database_checks, machine, redis_checks
from ops.monitoring.findings import Check, Finding, Patient
from shared.connections import Redis, open_redis
from shared.errors import InvalidSettings, TrackerError
from shared.monitoring.system import Backlog, read_backlog, sees_backups
from shared.settings import read_settings

# What can be said of a machine that reaches no server.
_NOWHERE: Final = {"DATABASE_URL": "postgresql://nowhere", "REDIS_URL": "redis://nowhere"}
_HERE: Final[Mapping[str, Check]] = {
    "settings": machine.check_settings,
    "secrets": machine.check_secrets,
    "packages": machine.check_packages,
    "disks": machine.check_disks,
    "certificate": machine.check_certificate,
    "API": machine.check_api,
}
_IN_REDIS: Final[Mapping[str, Callable[[Patient, Redis], Iterator[Finding]]]] = {
    "Redis": redis_checks.check_redis,
    "workers": redis_checks.check_workers,
    "queues": redis_checks.check_queues,
}
_IN_DATABASE: Final[Mapping[str, Check]] = {
    "PostgreSQL": database_checks.check_database,
    "schema": database_checks.check_schema,
    "replica": database_checks.check_replica,
}


@dataclass(frozen=True)
class Diagnosis:
    """What was found of a subject; nothing if all is well there."""

    subject: str
    findings: tuple[Finding, ...]


def examine(patient: Patient) -> Iterator[Diagnosis]:
    """Look at everything; what cannot be reached is a finding, and the rest goes on."""
    for subject, check in _HERE.items():
        yield Diagnosis(subject, tuple(check(patient)))
    yield from _examine_redis(patient)
    yield from _examine_database(patient)


def examine_without_servers(
    environ: Mapping[str, str], data_dir: Path, why: str
) -> list[Diagnosis]:
    """What can be said where there are no servers, or no sound settings to reach them by."""
    finding = Finding(why, "mend that first; what needs the servers was not looked at")
    found = [Diagnosis("servers", (finding,))]
    try:
        patient = Patient(read_settings({**environ, **_NOWHERE}), data_dir, environ)
    except InvalidSettings:
        return found
    return [*found, *(Diagnosis(name, tuple(check(patient))) for name, check in _HERE.items())]


def report(diagnoses: Iterable[Diagnosis]) -> int:
    """Print each as it comes; how many things are wrong."""
    count = 0
    for diagnosis in diagnoses:
        if not diagnosis.findings:
            click.echo(f"well   {diagnosis.subject}")
        for finding in diagnosis.findings:
            count += 1
            click.echo(f"WRONG  {diagnosis.subject}: {finding.wrong}\n       → {finding.do}")
    return count


def _examine_redis(patient: Patient) -> Iterator[Diagnosis]:
    try:
        with open_redis(patient.settings) as client:
            client.ping()
            for subject, check in _IN_REDIS.items():
                yield Diagnosis(subject, tuple(check(patient, client)))
    except redis.RedisError as error:
        yield _unreached("Redis", "REDIS_URL", error)


def _examine_database(patient: Patient) -> Iterator[Diagnosis]:
    try:
        for subject, check in _IN_DATABASE.items():
            yield Diagnosis(subject, tuple(check(patient)))
        backlog = read_backlog(patient.settings)
    except psycopg.errors.UndefinedTable:  # as the schema's diagnosis says
        backlog = Backlog()
    except (psycopg.Error, TrackerError) as error:
        yield _unreached("PostgreSQL", "DATABASE_URL", error)
        return
    yield Diagnosis("work", tuple(database_checks.check_backlog(patient, backlog)))
    if sees_backups(patient.settings):
        yield Diagnosis("backups", tuple(machine.check_backups(patient, backlog.in_use_for)))


def _unreached(server: str, setting: str, error: Exception) -> Diagnosis:
    said = str(error).strip().partition("\n")[0]
    finding = Finding(
        f"{server} is not reached: {said}",
        f"start it, or mend {setting}; what needs it was not looked at",
    )
    return Diagnosis(server, (finding,))
