"""Keys and rides are kept true by what PostgreSQL tells of changes, and by nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest

from api.identity.auth import Authenticator
from api.ingest.access import AccessWatch
from api.ingest.ownership import Ownerships
from api.ingest.ride_sizes import RideSizes
from shared.connections import AsyncDatabase, open_async_database
from shared.settings import Settings
from tests.api.conftest import MakeKey

T = TypeVar("T")


class Caches:
    """What a process remembers of one key and one ride, and its watch over them."""

    def __init__(self, database: AsyncDatabase, key: str, ride: UUID, user: UUID) -> None:
        self._authenticator = Authenticator(database)
        self._ownerships = Ownerships(database, RideSizes(1000))
        self._watch = AccessWatch(database, self._authenticator, self._ownerships)
        self._key, self._ride = key, (ride, user)

    async def fill(self) -> None:
        """Look up both, as a first upload does."""
        await self._watch.look()
        await self._authenticator.open(self._key, "upload")
        await self._ownerships.is_finished(*self._ride)

    async def remembered(self) -> tuple[bool, bool]:
        """Whether key and ride are, after a further question."""
        await self._watch.look()
        caller = self._authenticator.remembered(self._key, "upload")
        return caller is not None, self._ownerships.remembered(*self._ride) is not None


class Clock:
    """Stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def watch(settings: Settings, work: Callable[[AsyncDatabase], Awaitable[T]]) -> T:
    async def run() -> T:
        async with asyncio.timeout(60), open_async_database(settings) as database:
            return await work(database)

    return asyncio.run(run())


@pytest.fixture
def user(settings: Settings) -> UUID:
    with psycopg.connect(settings.database_url) as connection:
        row: Any = connection.execute(
            "INSERT INTO users (email) VALUES (%s) RETURNING id", [f"{uuid4()}@example.com"]
        ).fetchone()
    return UUID(str(row[0]))


@pytest.fixture
def key(user: UUID, make_api_key: MakeKey) -> str:
    return make_api_key(str(user), ["upload"])


@pytest.fixture
def ride(settings: Settings, user: UUID) -> UUID:
    with psycopg.connect(settings.database_url) as connection:
        row: Any = connection.execute(
            "INSERT INTO workouts (user_id) VALUES (%s) RETURNING id", [user]
        ).fetchone()
    return UUID(str(row[0]))


KEYS = "UPDATE api_keys SET {} WHERE user_id = %(user)s"
USERS = "UPDATE users SET {} WHERE id = %(user)s"
RIDES = "UPDATE workouts SET {} WHERE id = %(ride)s"
CHANGES = {
    "the key is revoked": (KEYS.format("revoked_at = now()"), (False, True)),
    "the key ends at another time": (KEYS.format("expires_at = now() + '1 day'"), (False, True)),
    "the key may do less": (KEYS.format("scopes = '{read}'"), (False, True)),
    "the key is deleted": ("DELETE FROM api_keys WHERE user_id = %(user)s", (False, True)),
    "the key was used": (KEYS.format("last_used_at = now()"), (True, True)),
    "the user is disabled": (USERS.format("disabled_at = now()"), (False, True)),
    "the user is deleted": (USERS.format("deleted_at = now()"), (False, True)),
    "the user has another name": (USERS.format("display_name = 'x'"), (True, True)),
    "the ride is deleted": (RIDES.format("status = 'DELETED', deleted_at = now()"), (True, False)),
    "samples are removed": (RIDES.format("removed_ranges = '{[1,2)}'"), (True, False)),
    "the ride is paused": (RIDES.format("status = 'PAUSED'"), (True, True)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_forgotten_and_all_else_is_not(
    settings: Settings, user: UUID, key: str, ride: UUID, change: str
) -> None:
    query, kept = CHANGES[change]

    async def change_one(database: AsyncDatabase) -> list[tuple[bool, bool]]:
        caches = Caches(database, key, ride, user)
        await caches.fill()
        before = await caches.remembered()
        async with database.connection() as connection:
            await connection.execute(query.encode(), {"user": user, "ride": ride})
        return [before, await caches.remembered()]

    assert watch(settings, change_one) == [(True, True), kept]


RESTORE = """
    ALTER TABLE access_changes RENAME TO access_changes_before;
    CREATE TABLE access_changes (LIKE access_changes_before INCLUDING ALL)
"""
UNDO = """
    DROP TABLE access_changes;
    ALTER TABLE access_changes_before RENAME TO access_changes
"""


def test_everything_is_forgotten_once_a_backup_is_restored(
    settings: Settings, user: UUID, key: str, ride: UUID
) -> None:
    """Its table of changes is another, and says nothing of what is no longer there."""

    async def restore(database: AsyncDatabase) -> list[tuple[bool, bool]]:
        caches = Caches(database, key, ride, user)
        await caches.fill()
        before = await caches.remembered()
        with psycopg.connect(settings.database_url) as connection:
            connection.execute(RESTORE)
        try:
            return [before, await caches.remembered()]
        finally:
            with psycopg.connect(settings.database_url) as connection:
                connection.execute(UNDO)

    assert watch(settings, restore) == [(True, True), (False, False)]


def test_a_change_that_is_committed_late_is_not_missed(
    settings: Settings, user: UUID, key: str, ride: UUID
) -> None:
    """It is numbered before others that were committed, and seen, long before it."""
    revoke = CHANGES["the key is revoked"][0]

    async def commit_late(database: AsyncDatabase) -> list[tuple[bool, bool]]:
        caches = Caches(database, key, ride, user)
        async with database.connection() as connection, connection.transaction():
            await connection.execute(revoke.encode(), {"user": user})
            await caches.fill()
            async with database.connection() as another:
                await another.execute(CHANGES["samples are removed"][0].encode(), {"ride": ride})
            during = [await caches.remembered() for _ in range(2)]
        return [*during, await caches.remembered()]

    assert watch(settings, commit_late) == [(True, False), (True, False), (False, False)]


def test_a_process_that_has_not_asked_for_an_hour_forgets_everything(
    settings: Settings, user: UUID, key: str, ride: UUID
) -> None:
    clock = Clock()

    async def wait_for_an_hour(database: AsyncDatabase) -> list[bool]:
        ownerships = Ownerships(database, RideSizes(1000))
        looker = AccessWatch(database, Authenticator(database), ownerships, clock)
        remembered = []
        await looker.look()
        for clock.now in (3_600.0, 7_201.0):
            await ownerships.is_finished(ride, user)
            await looker.look()
            remembered.append(ownerships.remembered(ride, user) is not None)
        return remembered

    assert watch(settings, wait_for_an_hour) == [True, False]


def test_old_changes_are_purged(settings: Settings, user: UUID) -> None:
    clock = Clock()

    async def purge(database: AsyncDatabase) -> list[Any]:
        looker = AccessWatch(
            database, Authenticator(database), Ownerships(database, RideSizes(1000)), clock
        )
        async with database.connection() as connection:
            await connection.execute(
                "INSERT INTO access_changes (user_id, made_at) VALUES (%(user)s, now()),"
                " (%(user)s, now() - interval '23 hours'), (%(user)s, now() - interval '25 hours')",
                {"user": user},
            )
            counts = []
            for clock.now in (10.0, 3601.0):
                await looker.look()
                cursor = await connection.execute(
                    "SELECT count(*) FROM access_changes WHERE user_id = %s", [user]
                )
                counts.append(await cursor.fetchone())
        return [count["count"] for count in counts if count]

    assert watch(settings, purge) == [3, 2]


def test_a_user_who_is_deleted_in_one_go_is_forgotten_and_leaves_only_that(
    settings: Settings, user: UUID, key: str, ride: UUID
) -> None:
    async def delete(database: AsyncDatabase) -> list[Any]:
        caches = Caches(database, key, ride, user)
        await caches.fill()
        async with database.connection() as connection:
            await connection.execute(
                RIDES.format("removed_ranges = '{[1,2)}'").encode(), {"ride": ride}
            )
            await connection.execute("DELETE FROM users WHERE id = %s", [user])
            told = await connection.execute(
                "SELECT key_id FROM access_changes WHERE user_id = %s", [user]
            )
            rows = [row["key_id"] for row in await told.fetchall()]
        is_key_remembered, _ = await caches.remembered()  # without which nothing leads to the ride
        return [rows, is_key_remembered]

    assert watch(settings, delete) == [[key.split("_")[1]], False]
