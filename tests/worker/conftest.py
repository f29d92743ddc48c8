"""The worker's parts, driven inside the test process on a database that no other worker sweeps."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import psycopg
import pytest
import redis

from ops.admin import migrations
from ops.admin.accounts import create_account
from ops.processes import stop
from shared.breaker import Breaker
from shared.connections import Database, Redis, open_redis
from shared.events import Fields, FoldRequest
from shared.settings import Settings
from tests.conftest import ROOT
from tests.forking import start
from tests.worker.workouts import Workouts
from worker.jobs.dispatch import Dispatcher
from worker.jobs.fold import FoldJob
from worker.queue.inbox import Inbox
from worker.queue.jobs import Job, Jobs, Unreadable
from worker.queue.loop import Worker
from worker.queue.pace import Pace

# Waits for nothing, and looks for abandoned events each time.
IMPATIENT = Pace(breaker_pause=0.01, block=0.02, claim_every=0, pass_over=0.1, longest_pause=0.01)

LEASE = 0.5  # seconds, of worker processes

Fold = Callable[[UUID], bool]  # whether there was anything to do
OpenInbox = Callable[..., Inbox]
Running = Callable[..., AbstractContextManager[None]]
StartWorker = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(scope="session")
def settings(settings: Settings, database_url: str) -> Settings:
    """The test process's settings, with a PostgreSQL database that no service knows."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE worker")
    url = urlsplit(database_url)._replace(path="/worker").geturl()
    migrations.apply(url)
    return msgspec.structs.replace(settings, database_url=url)


@pytest.fixture
def database(database: Database) -> Iterator[Database]:
    """Empty at the end of each test: worker processes go on with whatever another one has left."""
    yield database
    with database.connection() as connection:
        connection.execute("DELETE FROM users")
        connection.execute("DELETE FROM dead_letters")


@pytest.fixture
def workouts(database: Database, redis_client: Redis, settings: Settings) -> Workouts:
    account = create_account(settings.database_url, "rider@example.com", "test")
    return Workouts(database, redis_client, account.user_id)


@pytest.fixture
def open_inbox(settings: Settings) -> Iterator[OpenInbox]:
    """Opens inboxes; their pace is impatient but for what is named."""
    inboxes = []
    with open_redis(settings) as client, open_redis(settings, longest_block=1) as blocking:

        def open_(consumer: str = "first", **pace: float) -> Inbox:
            inboxes.append(Inbox(client, blocking, consumer, replace(IMPATIENT, **pace)))
            inboxes[-1].ensure_groups()
            return inboxes[-1]

        yield open_
        for inbox in inboxes:
            with suppress(redis.ResponseError):  # the stream is gone
                inbox.close()


@pytest.fixture
def dispatcher(database: Database, redis_client: Redis, settings: Settings) -> Dispatcher:
    return Dispatcher(database, redis_client, settings.checkpoint_interval)


class FoldBy(FoldJob):
    """The job of folding, but by a function of the test's."""

    def __init__(self, database: Database, client: Redis, fold: Fold) -> None:
        super().__init__(database, client)
        self._fold = fold

    def run(self, event: Fields) -> bool:
        return self._fold(FoldRequest.from_fields(event).workout_id)


@pytest.fixture
def running(open_inbox: OpenInbox, database: Database, redis_client: Redis) -> Running:
    """Runs a worker for as long as the block, with the given fold in place of the real one.

    ``more``: jobs of other kinds. The worker's pace is impatient but for what is named.
    """

    @contextmanager
    def run(
        fold: Fold | None = None,
        *more: Job,
        stop: threading.Event | None = None,
        consumer: str = "first",
        sweep: Callable[[], None] = lambda: None,
        lease: float = 0.05,
        **pace: float,
    ) -> Iterator[None]:
        stop = stop or threading.Event()
        job = FoldBy(database, redis_client, fold) if fold else FoldJob(database, redis_client)
        worker = Worker(
            open_inbox(consumer, lease=lease, **pace),
            Breaker(redis_client),
            Jobs([job, *more], Unreadable(database)),
            between_events=[sweep],
            stop=stop,
            pace=replace(IMPATIENT, lease=lease, **pace),
        )
        with ThreadPoolExecutor(1) as thread:
            end = thread.submit(worker.run)
            try:
                yield
            finally:
                stop.set()
            end.result()

    return run


@pytest.fixture
def start_worker(settings: Settings, database: Database, tmp_path: Path) -> Iterator[StartWorker]:
    """Starts worker processes, which log to worker.log."""
    processes = []
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "LEASE": str(LEASE),
        "WEBHOOK_ALLOW_PRIVATE": "1",
    }

    def start_one(**variables: str) -> "subprocess.Popen[bytes]":
        log = tmp_path / "worker.log"
        processes.append(start("worker", log=log, environ={**environ, **variables}))
        return processes[-1]

    yield start_one
    for process in processes:
        stop(process)
