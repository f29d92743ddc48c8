"""Schema migrations by yoyo, safe to run from many places at once."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from yoyo import default_migration_table, read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri
from yoyo.migrations import MigrationList, read_sql_migration

from shared.errors import ServiceUnavailable, TrackerError
from shared.sql import load_queries

FOLDER: Final = Path(__file__).resolve().parents[2] / "migrations"
QUERIES = load_queries("monitoring")
_LOCK_ID: Final = 0x6270745F  # "bpt_"
_LOCK_TIMEOUT: Final = 2000  # ms
_PAUSE: Final = 3.0  # seconds, in which those who waited behind it go on
_TRIES: Final = 60

logger = logging.getLogger(__name__)


def apply(
    database_url: str,
    folder: Path = FOLDER,
    wait: Callable[[float], object] = time.sleep,
    *,
    all_or_none: bool = False,
) -> list[str]:
    """Apply what is missing; the ids applied.

    While riders upload: a migration that waits for a lock has others wait behind it, and so gives
    up after two seconds, and tries again later. Raises ServiceUnavailable after a few minutes.
    ``all_or_none``: if one fails, those before it are rolled back, too. Nobody has used them yet.
    """
    done = list[Any]()
    with _locked_backend(database_url) as backend:
        try:
            for migration in backend.to_apply(read_migrations(str(folder))):
                _apply_one(backend, migration, wait)
                done.append(migration)
        except (psycopg.Error, TrackerError):
            if all_or_none:
                backend.rollback_migrations(MigrationList(reversed(done)))
            raise
        return [migration.id for migration in done]


def _apply_one(backend: Any, migration: Any, wait: Callable[[float], object]) -> None:
    """Each may be repeated. One that builds an index CONCURRENTLY keeps nobody waiting."""
    if "CONCURRENTLY" in Path(migration.path).read_text():
        with closing(_PatientBackend(backend.uri, default_migration_table)) as patient:
            patient.apply_migrations(MigrationList([migration]))
        return
    for _ in range(_TRIES):
        try:
            backend.apply_migrations(MigrationList([migration]))
        except psycopg.errors.LockNotAvailable:
            logger.info("%s waits for a lock; trying again in %.0f s", migration.id, _PAUSE)
            wait(_PAUSE)
        else:
            return
    detail = f"{migration.id} did not get a lock: a long transaction holds it; end that, try again"
    raise ServiceUnavailable(detail)


def roll_back(database_url: str, *, everything: bool = False) -> list[str]:
    """Roll back the newest migration, or all of them; the ids rolled back."""
    with _locked_backend(database_url) as backend:
        applied = backend.to_rollback(read_migrations(str(FOLDER)))
        chosen = applied if everything else applied[:1]
        backend.rollback_migrations(chosen)
        return [migration.id for migration in chosen]


def status(database_url: str) -> list[tuple[str, bool]]:
    """Every migration's id, and whether it is applied."""
    migrations = read_migrations(str(FOLDER))
    with _backend(database_url) as backend:
        missing = {migration.id for migration in backend.to_apply(migrations)}
    return [(migration.id, migration.id not in missing) for migration in migrations]


def applied(database_url: str) -> set[str]:
    """The ids that were applied, those of a newer version too."""
    with psycopg.connect(database_url) as connection:
        return {name for (name,) in connection.execute(QUERIES["list_applied"])}


def known() -> set[str]:
    """The ids of the migrations that there are."""
    return {migration.id for migration in read_migrations(str(FOLDER))}


def statements_of(migration: str) -> list[str]:
    """The statements of a migration, as yoyo takes it apart."""
    _, _, statements = read_sql_migration(str(FOLDER / f"{migration}.sql"))
    return list(statements)


def empty(database_url: str) -> None:
    """Delete every row of the tables there are: a rollback may refuse to lose rows."""
    with psycopg.connect(database_url) as connection:
        found = connection.execute("SELECT to_regclass('users'), to_regclass('dead_letters')")
        for table in filter(None, found.fetchone() or ()):
            connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.Identifier(table)))


def create(name: str, folder: Path = FOLDER) -> list[Path]:
    """Write the two empty files of a new migration."""
    existing = sorted(folder.glob("[0-9]*.sql"))
    previous = [path.stem for path in existing if ".rollback" not in path.name]
    number = int(previous[-1][:4]) + 1 if previous else 1
    stem = f"{number:04d}_{name.strip().lower().replace(' ', '_')}"
    forward, back = folder / f"{stem}.sql", folder / f"{stem}.rollback.sql"
    forward.write_text(f"-- depends: {previous[-1]}\n" if previous else "")
    back.write_text("")
    return [forward, back]


@contextmanager
def alone(database_url: str, timeout: float = 300) -> Iterator[None]:
    """While no other migrator runs: migrations, or `make partition`.

    The lock is polled, never waited for: CREATE INDEX CONCURRENTLY would wait for the waiter.
    It dies with its connection.
    """
    with psycopg.connect(database_url, autocommit=True) as connection:
        _refuse_pooler(connection)
        deadline = time.monotonic() + timeout
        while not _try_lock(connection):
            if time.monotonic() > deadline:
                raise ServiceUnavailable("another migration has been running for too long")
            time.sleep(0.2)
        yield


@contextmanager
def _locked_backend(database_url: str) -> Iterator[Any]:
    """yoyo's backend while no other migrator runs: its own lock row can only be a killed one's."""
    with alone(database_url), _backend(database_url) as backend:
        backend.break_lock()
        with backend.lock():
            yield backend


class PoolerBetween(TrackerError):
    """The lock of a migrator belongs to its session, and a pooler shares sessions."""

    def __str__(self) -> str:
        return "DATABASE_URL leads to a pooler: migrations need the address of PostgreSQL itself"


def _refuse_pooler(connection: psycopg.Connection[Any]) -> None:
    """Raises PoolerBetween. A pooler tells a process id of its own, which no server process has."""
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    if row != (connection.info.backend_pid,):
        raise PoolerBetween


def _try_lock(connection: psycopg.Connection[tuple[bool]]) -> bool:
    row = connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK_ID]).fetchone()
    return row is not None and row[0]


class _Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo has no types
    """PostgreSQL: its DDL is transactional. yoyo would try it, and leave an ERROR in the log."""

    lock_timeout = _LOCK_TIMEOUT

    def _check_transactional_ddl(self) -> bool:
        return True

    def init_connection(self, connection: Any) -> None:
        """yoyo opens a connection for each migration."""
        super().init_connection(connection)
        connection.execute(f"SET lock_timeout = {self.lock_timeout}")


class _PatientBackend(_Backend):
    """Waits for locks for as long as it takes."""

    lock_timeout = 0

    def close(self) -> None:
        """yoyo does not."""
        self.connection.close()


@contextmanager
def _backend(database_url: str) -> Iterator[Any]:
    """yoyo's backend; yoyo wants the driver's name in the scheme, and never closes it itself."""
    uri = parse_uri(f"postgresql+psycopg://{database_url.partition('://')[2]}")
    backend = _Backend(uri, default_migration_table)
    backend.init_database()
    with closing(backend.connection):
        yield backend
