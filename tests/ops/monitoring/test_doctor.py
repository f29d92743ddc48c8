"""`make doctor` finds each fault that is planted, in a service in which it finds nothing else."""

import datetime
import os
import re
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from socket import create_server
from typing import Final
from uuid import uuid4

import msgspec
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ops.admin import migrations
from ops.admin.accounts import create_account
from ops.commands import main
from ops.monitoring.database_checks import check_backlog
from ops.monitoring.doctor import examine
from ops.monitoring.findings import Patient
from ops.monitoring.machine import check_settings
from ops.monitoring.status import status
from ops.processes import spawn, stop
from shared.breaker import Breaker
from shared.connections import Redis, open_redis
from shared.monitoring.system import Backlog
from shared.monitoring.workers import Heartbeat
from shared.redis_keys import FAILING, GROUP, Queue, alive_key
from shared.settings import read_settings
from tests.api.serving import serving
from tests.conftest import ROOT
from tests.redis_settings import configured
from tests.worker.waiting import eventually

HOUR: Final = 3600.0


@dataclass(frozen=True)
class Service:
    """An API and a worker at work, and what examines them."""

    patient: Patient
    redis: Redis

    def changed(self, **settings: object) -> "Service":
        """The same, by other settings."""
        own = msgspec.structs.replace(self.patient.settings, **settings)
        return replace(self, patient=replace(self.patient, settings=own))

    def examined(self, **how: object) -> "Service":
        """The same, examined otherwise."""
        return replace(self, patient=replace(self.patient, **how))  # type: ignore[arg-type]

    def findings(self) -> set[str]:
        return {
            f"{diagnosis.subject}: {finding.wrong}"
            for diagnosis in examine(self.patient)
            for finding in diagnosis.findings
        }


Plant = Callable[[Service, Path], AbstractContextManager[Service]]


@pytest.fixture(scope="module")
def healthy(urls: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """On a database and a Redis database of its own; its user came two days ago."""
    folder = tmp_path_factory.mktemp("doctor")
    own = {
        "DATABASE_URL": urls["DATABASE_URL"].replace("/tracker?", "/doctor?"),
        "REDIS_URL": f"{urls['REDIS_URL']}?db=5",
        "DATA_DIR": str(folder),
        "BACKUP_DIR": str(folder / "backups"),
    }
    with psycopg.connect(urls["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE DATABASE doctor")
    migrations.apply(own["DATABASE_URL"])
    create_account(own["DATABASE_URL"], f"{token_hex(6)}@example.com", "test")
    execute(own["DATABASE_URL"], "UPDATE users SET created_at = now() - interval '2 days'")
    back_up(folder / "backups", HOUR)
    settings = read_settings(own)
    environ = {**os.environ, **own, "PYTHONPATH": str(ROOT)}
    worker = spawn([sys.executable, "-m", "worker"], log=folder / "worker.log", environ=environ)
    try:
        with serving(own, folder / "api.log") as client, open_redis(settings) as redis:
            lock = folder / "lock.txt"
            lock.write_text("")
            patient = Patient(
                settings,
                folder,
                {"API_URL": str(client.base_url)},
                env_file=folder / ".env",
                lock_file=lock,
            )
            eventually(lambda: client.get("/health/ready").json()["workers"] == 1)
            yield Service(patient, redis)
    finally:
        stop(worker)


def execute(url: str, statement: str, *parameters: object) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode(), parameters)


def back_up(folder: Path, age: float, *, finished: bool = True) -> Path:
    """The files of a backup that was begun so many seconds ago."""
    folder.mkdir(exist_ok=True)
    moment = datetime.datetime.fromtimestamp(time.time() - age, datetime.UTC)
    path = folder / f"bpt-{moment:%Y%m%dT%H%M%SZ}.backup"
    path.write_bytes(b"PGDMP")
    if finished:
        path.with_name(f"{path.name}.sha256").write_text("of it")
    return path


def test_nothing_is_wrong_with_a_service_that_works(healthy: Service) -> None:
    assert healthy.findings() == set()


@contextmanager
def setting_of_redis(name: str, value: str, service: Service, _: Path) -> Iterator[Service]:
    with configured(service.redis, name, value):
        yield service


def redis_set(name: str, value: str) -> Plant:
    return lambda service, folder: setting_of_redis(name, value, service, folder)


def setting(**values: object) -> Plant:
    """Settings that the service is examined by."""

    @contextmanager
    def plant(service: Service, _: Path) -> Iterator[Service]:
        yield service.changed(**values)

    return plant


@contextmanager
def full_redis(service: Service, _: Path) -> Iterator[Service]:
    info = service.redis.info("memory")
    with configured(service.redis, "maxmemory", str(int(info["used_memory"] * 1.1))):
        yield service


@contextmanager
def missing_migration(service: Service, _: Path) -> Iterator[Service]:
    url = service.patient.settings.database_url
    newest = max(migrations.known())
    execute(url, "DELETE FROM _yoyo_migration WHERE migration_id = %s", newest)
    try:
        yield service
    finally:
        migrations.apply(url)


@contextmanager
def newer_migration(service: Service, _: Path) -> Iterator[Service]:
    url = service.patient.settings.database_url
    execute(
        url,
        "INSERT INTO _yoyo_migration (migration_hash, migration_id)"
        " VALUES ('later', '9999_of_later')",
    )
    try:
        yield service
    finally:
        execute(url, "DELETE FROM _yoyo_migration WHERE migration_id = '9999_of_later'")


@contextmanager
def no_workers(service: Service, _: Path) -> Iterator[Service]:
    """A Redis database that no worker reads."""
    url = service.patient.settings.redis_url.replace("db=5", "db=6")
    yield service.changed(redis_url=url)


def heartbeat(**told: object) -> Plant:
    """Of a second worker, which is in the group; its event, if it has one, for two hours."""

    @contextmanager
    def plant(service: Service, _: Path) -> Iterator[Service]:
        now = time.time()
        beat = Heartbeat("0.1.0", "elsewhere", 7, now, event_since=now - 2 * HOUR)
        beat = msgspec.structs.replace(beat, **told)
        service.redis.xgroup_createconsumer(Queue.PROMPT, GROUP, "elsewhere-7")
        service.redis.set(alive_key("elsewhere-7"), msgspec.json.encode(beat))
        yield service
        service.redis.delete(alive_key("elsewhere-7"))
        service.redis.xgroup_delconsumer(Queue.PROMPT, GROUP, "elsewhere-7")

    return plant


@contextmanager
def dead_letter(service: Service, _: Path) -> Iterator[Service]:
    """Of an event without a kind, which the worker gives up."""
    url = service.patient.settings.database_url

    def letters() -> int:
        with psycopg.connect(url) as connection:
            row = connection.execute("SELECT count(*) FROM dead_letters").fetchone()
        return row[0] if row else 0

    service.redis.xadd(Queue.PROMPT, {"no": "kind"})
    eventually(lambda: letters() == 1)
    yield service
    execute(url, "DELETE FROM dead_letters")
    service.redis.delete(FAILING)


@contextmanager
def open_breaker(service: Service, _: Path) -> Iterator[Service]:
    for number in range(5):
        Breaker(service.redis).note_failure(b"%d" % number)
    yield service
    service.redis.delete(FAILING)


@contextmanager
def old_event(service: Service, _: Path) -> Iterator[Service]:
    """Of a kind that only newer workers know, added an hour ago."""
    added = f"{int((time.time() - HOUR) * 1000)}-0"
    service.redis.xadd(Queue.RECOMPUTES, {"kind": "of-later"}, id=added)
    yield service
    service.redis.xdel(Queue.RECOMPUTES, added)


@contextmanager
def waiting_ride(service: Service, _: Path) -> Iterator[Service]:
    """Which was completed an hour ago; its row is locked, so that no worker can fold it."""
    url, ride = service.patient.settings.database_url, uuid4()
    with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as other:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", [7496053])  # dispatches nothing
        other.execute(
            "INSERT INTO workouts (id, user_id, status, completed_at)"
            " SELECT %s, id, 'PROCESSING', now() - interval '1 hour' FROM users",
            [ride],
        )
        yield service
        other.execute("DELETE FROM workouts WHERE id = %s", [ride])


@contextmanager
def open_transaction(service: Service, _: Path) -> Iterator[Service]:
    url = service.patient.settings.database_url
    with psycopg.connect(url, application_name="a forgotten psql") as forgotten:
        forgotten.execute("SELECT 1")
        yield service.examined(patience=0.0)


@contextmanager
def broken_index(service: Service, _: Path) -> Iterator[Service]:
    """Two equal rows keep a unique index from being built."""
    url = service.patient.settings.database_url
    execute(url, "CREATE TABLE twins AS SELECT 1 AS one FROM generate_series(1, 2)")
    with suppress(psycopg.errors.UniqueViolation):
        execute(url, "CREATE UNIQUE INDEX CONCURRENTLY twins_one ON twins (one)")
    yield service
    execute(url, "DROP TABLE twins")


@contextmanager
def unfinished_copy(service: Service, _: Path) -> Iterator[Service]:
    url = service.patient.settings.database_url
    execute(url, "CREATE TABLE workout_channels_copy ()")
    yield service
    execute(url, "DROP TABLE workout_channels_copy")


@contextmanager
def no_autovacuum(service: Service, _: Path) -> Iterator[Service]:
    url = service.patient.settings.database_url
    execute(url, "ALTER TABLE workouts SET (autovacuum_enabled = false)")
    yield service
    execute(url, "ALTER TABLE workouts RESET (autovacuum_enabled)")


@contextmanager
def missed_backup(service: Service, folder: Path) -> Iterator[Service]:
    back_up(folder / "backups", 30 * HOUR)
    yield service.changed(backup_dir=str(folder / "backups"))


def test_backups_are_due_as_often_as_they_are_made(healthy: Service, tmp_path: Path) -> None:
    """The newest is 30 hours old, and one is made every two days."""
    with missed_backup(healthy, tmp_path) as service:
        assert service.changed(backup_hours=48.0).findings() == set()


def test_who_sees_no_backups_says_nothing_of_them(healthy: Service, tmp_path: Path) -> None:
    with missed_backup(healthy, tmp_path) as service:
        blind = service.changed(backup_hours=0.0)
        assert blind.findings() == set()
        assert "backups" not in {each.subject for each in examine(blind.patient)}
        assert not [line for line in status(blind.patient) if line.startswith("backup")]


def test_the_stack_without_a_domain_has_no_certificate_of_an_authority(healthy: Service) -> None:
    own = healthy.changed(public_url="https://localhost", trusted_proxies=("127.0.0.1",))
    assert own.findings() == set()


@contextmanager
def unfinished_backup(service: Service, folder: Path) -> Iterator[Service]:
    back_up(folder / "backups", 2 * HOUR)
    back_up(folder / "backups", HOUR, finished=False)
    yield service.changed(backup_dir=str(folder / "backups"))


@contextmanager
def another_clock(service: Service, _: Path) -> Iterator[Service]:
    """Ours is a minute fast."""
    yield service.examined(clock=lambda: time.time() + 60)


@contextmanager
def other_package(service: Service, folder: Path) -> Iterator[Service]:
    lock = folder / "production.txt"
    lock.write_text("numpy==1.0.0 \\\n    --hash=sha256:0\n")
    yield service.examined(lock_file=lock)


@contextmanager
def misspelt_setting(service: Service, folder: Path) -> Iterator[Service]:
    (folder / ".env").touch(0o600)
    (folder / ".env").write_text("MAX_BODY_BYTE=1\nHOME_MADE=1\n")
    yield service.examined(env_file=folder / ".env")


@contextmanager
def readable_secrets(service: Service, folder: Path) -> Iterator[Service]:
    (folder / ".env").touch()
    (folder / ".env").chmod(0o644)
    yield service.examined(env_file=folder / ".env")


@contextmanager
def no_api(service: Service, _: Path) -> Iterator[Service]:
    yield service.examined(environ={"API_URL": "http://127.0.0.1:1"})


def certificate_for(days: int, folder: Path) -> Path:
    """A certificate of 127.0.0.1 that signs itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=90))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(
        key.private_bytes(pem, form, serialization.NoEncryption()) + certificate.public_bytes(pem)
    )
    return path


def proxy_with_certificate(days: int) -> Plant:
    """A proxy that speaks TLS, by a certificate that ends in so many days."""

    @contextmanager
    def plant(service: Service, folder: Path) -> Iterator[Service]:
        path = certificate_for(days, folder)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        with create_server(("127.0.0.1", 0)) as listener, pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(path))

            def greet() -> None:
                with suppress(OSError), context.wrap_socket(listener.accept()[0], True) as peer:
                    peer.recv(1)

            thread = threading.Thread(target=greet)
            thread.start()
            url = f"https://localhost:{listener.getsockname()[1]}"
            yield service.changed(public_url=url, trusted_proxies=("127.0.0.1",))
            thread.join()

    return plant


NO_REDIS, NO_DATABASE = "redis://127.0.0.1:1", "postgresql://127.0.0.1:1/none"
FAULTS: Final[dict[str, tuple[Plant, str]]] = {
    "no append-only file": (redis_set("appendonly", "no"), "Redis: Redis has no append-only file"),
    "eviction": (redis_set("maxmemory-policy", "allkeys-lru"), "Redis: Redis may evict samples"),
    "a full Redis": (full_redis, "Redis: Redis is nearly full"),
    "no Redis": (setting(redis_url=NO_REDIS), "Redis: Redis is not reached"),
    "no PostgreSQL": (setting(database_url=NO_DATABASE), "PostgreSQL: PostgreSQL is not reached"),
    "a missing migration": (missing_migration, "schema: migrations are missing: 0"),
    "a newer schema": (newer_migration, "schema: the database is of a newer version: it has 9999"),
    "no worker": (no_workers, "workers: no worker lives"),
    "an old worker": (heartbeat(version="0.0.9"), "workers: workers of another version run: 0.0.9"),
    "a stuck worker": (
        heartbeat(event="fold of one"),
        "workers: worker 7 on elsewhere is stuck: at fold of one for 2 h",
    ),
    "an open breaker": (open_breaker, "workers: most jobs fail"),
    "an event that nobody takes": (
        old_event,
        "queues: the oldest of 1 events in re",
    ),
    "a ride that waits": (
        waiting_ride,
        "work: 1 rides wait for their figures, the oldest for",
    ),
    "a dead letter": (dead_letter, "work: dead letters wait for somebody to look at them: 1"),
    "a missed backup": (missed_backup, "backups: no backup of the last 24 h"),
    "an unfinished backup": (unfinished_backup, "backups: the newest backup in"),
    "a clock that is fast": (another_clock, "Redis: the clock of Redis is 60 s from ours"),
    "another package": (other_package, "packages: packages differ from the lock file: numpy"),
    "a misspelt setting": (misspelt_setting, "settings: MAX_BODY_BYTE in .env is no setting"),
    "an open door": (
        setting(allow_anonymous=True, host="0.0.0.0"),
        "settings: ALLOW_ANONYMOUS is on and HOST is 0.0.0.0",
    ),
    "a proxy that nobody trusts": (
        setting(public_url="https://127.0.0.1:1"),
        "settings: PUBLIC_URL is https, and TRUSTED_PROXIES names no proxy",
    ),
    "secrets that others read": (readable_secrets, "secrets: others on this machine may read"),
    "no API": (no_api, "API: no API answers at http://127.0.0.1:1"),
    "a certificate that ends": (
        proxy_with_certificate(3),
        "certificate: the certificate of localhost ends in 3 days",
    ),
    "a certificate that has ended": (
        proxy_with_certificate(-1),
        "certificate: the certificate of localhost is not valid: certificate has expired",
    ),
    "an open transaction": (
        open_transaction,
        "PostgreSQL: a forgotten psql has left a",
    ),
    "a broken index": (broken_index, "PostgreSQL: the index twins_one was not built to its end"),
    "partitions that are not finished": (
        unfinished_copy,
        "PostgreSQL: samples are written twice",
    ),
    "a table that is never cleaned up": (
        no_autovacuum,
        "PostgreSQL: autovacuum is off for",
    ),
    "one user who may fill Redis": (
        setting(max_waiting_bytes=2**29),
        "Redis: one user may fill a quarter of Redis",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str, healthy: Service, tmp_path: Path) -> None:
    plant, wanted = FAULTS[fault]
    with plant(healthy, tmp_path) as sick:
        found = sick.findings()
    assert [each for each in found if each.startswith(wanted)], found


def test_names_that_make_the_stack_or_a_setting_from_a_file_have_in_env_are_known(
    healthy: Service, tmp_path: Path
) -> None:
    options = {
        name
        for command in main.commands.values()
        for option in command.params
        for name in ([option.envvar] if isinstance(option.envvar, str) else option.envvar or [])
    }
    stack = set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "compose.yaml").read_text()))
    files = {f"{name.upper()}_FILE" for name in healthy.patient.settings.__struct_fields__}
    names = options | stack | files | {"WAL_ARCHIVE"}
    (tmp_path / ".env").touch(0o600)
    (tmp_path / ".env").write_text("".join(f"{name}=1\n" for name in sorted(names)))
    assert healthy.examined(env_file=tmp_path / ".env").findings() == set()


@pytest.mark.parametrize(("name", "meant"), [("BACKUP_KEP", "BACKUP_KEEP"), ("DOMAINE", "DOMAIN")])
def test_a_misspelt_name_of_the_stack_is_found(
    name: str, meant: str, healthy: Service, tmp_path: Path
) -> None:
    (tmp_path / ".env").touch(0o600)
    (tmp_path / ".env").write_text(f"{name}=1\n")
    patient = replace(healthy.patient, env_file=tmp_path / ".env")
    (found,) = check_settings(patient)
    assert found.do == f"did you mean {meant}?"


def test_settings_of_root_s_may_be_read_by_the_group_that_root_gave_them(
    healthy: Service, tmp_path: Path
) -> None:
    """As `make install` leaves them."""
    if os.geteuid() != 0:
        pytest.skip("only root makes files of root's")
    (tmp_path / ".env").touch()
    (tmp_path / ".env").chmod(0o640)
    service = healthy.examined(env_file=tmp_path / ".env")
    assert service.findings() == set()
    os.chown(tmp_path / ".env", 65534, 0)
    (found,) = service.findings()
    assert found.startswith("secrets: others on this machine may read")


def test_every_finding_says_what_to_do(healthy: Service) -> None:
    lost = healthy.changed(redis_url=NO_REDIS, database_url=NO_DATABASE).patient
    found = [finding for diagnosis in examine(lost) for finding in diagnosis.findings]
    assert {finding.do for finding in found} == {
        "start it, or mend REDIS_URL; what needs it was not looked at",
        "start it, or mend DATABASE_URL; what needs it was not looked at",
    }


def test_deliveries_that_no_worker_takes_are_found(healthy: Service) -> None:
    late = Backlog(deliveries=3, oldest_delivery=HOUR)
    [finding] = check_backlog(healthy.patient, late)
    assert finding.wrong.startswith("3 deliveries to webhooks wait, the oldest is due for")
    assert not list(check_backlog(healthy.patient, replace(late, oldest_delivery=1)))
