"""The worker's parts, driven inside the test process on a database that no other worker sweeps."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from urllib.parse import urlsplit

import msgspec
import psycopg
import pytest
import redis

from ops.admin import migrations
from ops.admin.accounts import create_account
from shared.breaker import Breaker
from shared.connections import Database, Redis, open_redis
from shared.settings import Settings
from tests.worker.workouts import Workouts
from worker.queue.dead_letters import bury
from worker.queue.inbox import BLOCK, Inbox
from worker.queue.loop import Fold, Worker

OpenInbox = Callable[..., Inbox]
Running = Callable[..., AbstractContextManager[None]]


@pytest.fixture(scope="session")
def settings(settings: Settings, database_url: str) -> Settings:
    """The test process's settings, with a PostgreSQL database that no service knows."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE worker")
    url = urlsplit(database_url)._replace(path="/worker").geturl()
    migrations.apply(url)
    return msgspec.structs.replace(settings, database_url=url)


@pytest.fixture
def workouts(database: Database, redis_client: Redis, settings: Settings) -> Workouts:
    account = create_account(settings.database_url, "rider@example.com", "test")
    return Workouts(database, redis_client, account.user_id)


@pytest.fixture
def open_inbox(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenInbox]:
    """Opens inboxes that wait for nothing and look for abandoned events each time."""
    monkeypatch.setattr("worker.queue.inbox.BLOCK", 0.02)
    monkeypatch.setattr("worker.queue.inbox._CLAIM_EVERY", 0.0)
    inboxes = []
    with open_redis(settings) as client, open_redis(settings, longest_block=BLOCK) as blocking:

        def open_(consumer: str = "first", lease: float = 60) -> Inbox:
            inboxes.append(Inbox(client, blocking, consumer, lease))
            inboxes[-1].ensure_group()
            return inboxes[-1]

        yield open_
        for inbox in inboxes:
            with suppress(redis.ResponseError):  # the stream is gone
                inbox.close()


@pytest.fixture
def running(
    open_inbox: OpenInbox, database: Database, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> Running:
    """Runs a worker with the given fold, impatient in everything, for as long as the block."""
    monkeypatch.setattr("worker.queue.loop._LONGEST_PAUSE", 0.01)

    @contextmanager
    def run(
        fold: Fold,
        *,
        stop: threading.Event | None = None,
        lease: float = 0.05,
        consumer: str = "first",
        sweep: Callable[[], None] = lambda: None,
        breaker_pause: float = 0.01,
    ) -> Iterator[None]:
        stop = stop or threading.Event()
        worker = Worker(
            open_inbox(consumer, lease),
            Breaker(redis_client),
            fold=fold,
            bury=lambda delivery, error: bury(database, delivery, error),
            sweep=sweep,
            stop=stop,
            breaker_pause=breaker_pause,
        )
        with ThreadPoolExecutor(1) as thread:
            end = thread.submit(worker.run)
            try:
                yield
            finally:
                stop.set()
            end.result()

    return run
