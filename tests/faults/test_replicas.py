"""Reads from a real streaming replica: as good as the primary's, or the primary's."""

import asyncio
import re
import socket
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import psycopg
import pytest
import redis.exceptions

from ops.monitoring.database_checks import check_replica
from ops.monitoring.findings import Patient
from ops.monitoring.status import status
from shared.connections import AsyncRedis, open_async_database, open_async_redis
from shared.replicas import Freshness, Replica
from shared.settings import Settings, read_settings
from tests.api.serving import serving
from tests.conftest import Rider
from tests.faults.standby import Standby, promote
from tests.faults.system import System, running_system
from tests.shared.monitoring.scraping import free_port, scrape, total
from tests.worker.waiting import eventually

LIMIT: Final = 2.0  # seconds
T0: Final = 1_700_000_000_000


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[System, Standby]]:
    with running_system(READ_LAG_LIMIT=str(LIMIT)) as system:
        standby = Standby(system.postgres)
        system.environ["DATABASE_READ_URL"] = standby.read_url
        yield system, standby
        standby.close()


@pytest.fixture
def standby(pair: tuple[System, Standby]) -> Standby:
    return pair[1]


@pytest.fixture
def system(pair: tuple[System, Standby]) -> Iterator[System]:
    """Servers that work, of which one follows the other, and an API process that knows both."""
    system, standby = pair
    start_counting_api(system)
    yield system
    for proxy in (standby.line, standby.proxy):
        proxy.restore()
    standby.resume() if standby.is_running else standby.start()
    standby.go_on()
    system.reset()


def start_counting_api(system: System) -> None:
    """An API process that serves its figures."""
    port = free_port()
    system.environ["METRICS_PORT"] = str(port)
    system.start_api()
    eventually(lambda: accepts(port))


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def read_by_replica(system: System) -> float:
    """How many reads the replica has answered so far."""
    port = system.environ["METRICS_PORT"]
    figures = scrape(f"http://127.0.0.1:{port}/metrics")
    return total(figures, "bpt_reads_total", server="replica")


def await_reading(system: System, rider: Rider, workout_id: str) -> None:
    """Return once the rider's reads are the replica's: the process has known both for a while."""

    def is_read() -> bool:
        before = read_by_replica(system)
        rider.workout(workout_id)
        return read_by_replica(system) > before

    eventually(is_read)


@pytest.fixture
def ride(system: System) -> tuple[Rider, str]:
    """A ride that its rider reads from the replica."""
    rider = system.make_rider()
    workout_id = rider.start(title="before")
    # The note of this write lasts longer than it has to.
    forget_writes(system)
    await_reading(system, rider, workout_id)
    return rider, workout_id


def forget_writes(system: System) -> None:
    for key in system.redis_client.scan_iter("*:wrote"):
        system.redis_client.delete(key)


def rename(system: System, workout_id: str, title: str) -> None:
    """As somebody else would: nobody was told of it."""
    system.execute(f"UPDATE workouts SET title = '{title}' WHERE id = '{workout_id}'")


def title_of(ride: tuple[Rider, str]) -> Any:
    rider, workout_id = ride
    return rider.workout(workout_id)["title"]


def test_reads_are_the_replicas_while_it_is_behind_by_little_and_never_older(
    system: System, standby: Standby, ride: tuple[Rider, str]
) -> None:
    standby.hold()
    rename(system, ride[1], "after")
    assert title_of(ride) == "before"
    eventually(lambda: title_of(ride) == "after", within=LIMIT + 1)
    rename(system, ride[1], "later")
    assert title_of(ride) == "later"
    standby.go_on()
    await_reading(system, *ride)


def test_riders_read_what_they_wrote_by_whichever_process(
    system: System, standby: Standby, ride: tuple[Rider, str], tmp_path: Path
) -> None:
    rider, workout_id = ride
    other = {**system.environ, "METRICS_PORT": "0"}
    with serving(other, tmp_path / "api.log") as client:
        client.headers["X-API-Key"] = rider.account.api_key
        await_reading(system, *ride)
        standby.hold()
        changed = rider.client.patch(f"/api/workouts/{workout_id}", json={"title": "mine"})
        assert changed.status_code == 200
        for each in (rider.client, client):
            answer = each.get(f"/api/workouts/{workout_id}").json()
            assert answer["workout"]["title"] == "mine"
            assert each.get("/api/workouts").json()["workouts"][0]["title"] == "mine"
        assert rider.client.delete(f"/api/workouts/{workout_id}").is_success
        for each in (rider.client, client):
            assert each.get(f"/api/workouts/{workout_id}").status_code == 404
            assert each.get("/api/workouts").json()["workouts"] == []


def test_what_a_fold_has_moved_is_read_where_it_is(
    system: System, standby: Standby, ride: tuple[Rider, str]
) -> None:
    rider, workout_id = ride
    samples = [{"timestamp": T0 + 1000 * at, "power": 200} for at in range(60)]
    assert rider.upload(workout_id, {"samples": samples}).status_code == 202
    standby.hold()
    system.start_worker()
    # As the sweeper would: the rider's API processes are told nothing.
    system.execute(f"UPDATE workouts SET status = 'PROCESSING' WHERE id = '{workout_id}'")
    eventually(lambda: f"folded 1 batches into {workout_id}" in system.log_of("worker"))
    eventually(lambda: not system.redis_client.exists(f"{{w:{workout_id}}}:samples"))
    assert rider.workout(workout_id)["summary"]["avgPower"] == 200
    telemetry = rider.client.get(f"/api/workouts/{workout_id}/telemetry").json()
    assert telemetry["sampleCount"] == 60


def test_new_riders_are_there_at_once(system: System, standby: Standby) -> None:
    first = system.make_rider()
    workout_id = first.start()
    forget_writes(system)
    await_reading(system, first, workout_id)
    standby.hold()
    assert system.make_rider().client.get("/api/users/me").status_code == 200


def test_a_killed_replica_costs_no_answer_and_is_asked_again(
    system: System, standby: Standby, ride: tuple[Rider, str]
) -> None:
    standby.kill()
    assert [title_of(ride) for _ in range(20)] == ["before"] * 20
    standby.start()
    await_reading(system, *ride)


def test_a_frozen_replica_costs_one_wait_and_is_asked_again(
    system: System, standby: Standby, ride: tuple[Rider, str]
) -> None:
    standby.pause()
    assert title_of(ride) == "before"
    rename(system, ride[1], "after")
    assert title_of(ride) == "after"
    standby.resume()
    await_reading(system, *ride)


def test_a_replica_that_is_cut_off_from_the_primary_is_left(
    system: System, standby: Standby, ride: tuple[Rider, str]
) -> None:
    """It has replayed all that it has got, and knows of nothing else."""
    standby.line.refuse()
    rename(system, ride[1], "after")
    eventually(lambda: title_of(ride) == "after", within=LIMIT + 1)
    standby.line.restore()
    await_reading(system, *ride)


def test_nothing_that_the_replica_answers_wants_to_write(
    system: System, standby: Standby, ride: tuple[Rider, str]
) -> None:
    """All of the document that is read with a key: none is asked of the primary in its place."""
    rider, workout_id = ride
    port = system.environ["METRICS_PORT"]
    document = rider.client.get("/openapi.json").json()
    paths = [
        path.replace("{id}", workout_id)
        for path, methods in document["paths"].items()
        if "get" in methods and methods["get"].get("security") != [] and path.count("{") <= 1
        if "{id}" in path or "{" not in path
    ]
    asked = [path for path in paths if not path.endswith(("/live", "/figures"))]
    assert len(asked) > 20
    before = total(scrape(f"http://127.0.0.1:{port}/metrics"), "bpt_reads_total", server="primary")
    for path in asked:
        assert rider.client.get(path).status_code < 500, path
    figures = scrape(f"http://127.0.0.1:{port}/metrics")
    assert total(figures, "bpt_reads_total", server="primary") == before


def test_operators_are_told_how_far_it_is_behind(
    system: System, standby: Standby, ride: tuple[Rider, str], tmp_path: Path
) -> None:
    patient = Patient(own_settings(system), tmp_path, {})
    port = system.environ["METRICS_PORT"]

    def told() -> list[str]:
        return [finding.wrong for finding in check_replica(patient)]

    def shown() -> str:
        [line] = [line for line in status(patient) if line.startswith("replica")]
        return line

    eventually(lambda: "0 B of WAL and 0.0 s behind" in shown())
    assert told() == []
    standby.hold()
    rename(system, ride[1], "after")
    eventually(lambda: bool(told()))
    assert re.fullmatch(r"the replica is \d+ s and .* of WAL behind", told()[0])
    figures = scrape(f"http://127.0.0.1:{port}/metrics")
    assert total(figures, "bpt_replica_lag_seconds") > LIMIT
    assert total(figures, "bpt_replica_behind_bytes") > 0
    standby.kill()
    assert told()[0].startswith("the replica is not reached: ")
    assert "is not reached" in shown()
    figures = scrape(f"http://127.0.0.1:{port}/metrics")
    assert [each.value for each in figures if each.labels.get("server") == "replica"][-1] == 0


class Title:
    def __init__(self, title: str) -> None:
        self.title = title


def own_settings(system: System) -> Settings:
    return read_settings({**system.environ, "METRICS_PORT": "0"})


def with_replica(settings: Settings, work: Callable[[Replica, AsyncRedis], Any]) -> Any:
    """What the work gives, with a replica that is looked after and fresh."""

    async def run() -> Any:
        async with (
            open_async_database(settings) as primary,
            open_async_redis(settings) as client,
            Replica(settings, primary, client) as replica,
        ):
            following = asyncio.create_task(replica.follow())
            while not replica.is_fresh():
                await asyncio.sleep(0.01)
            try:
                return await work(replica, client)
            finally:
                following.cancel()

    return asyncio.run(run())


async def lent(replica: Replica, user_id: Any) -> None:
    """Return once the replica answers for a user."""
    while not await replica.may_show(user_id):
        await asyncio.sleep(0.01)


def test_a_query_that_the_replica_cancels_is_asked_of_the_primary_and_no_other(
    system: System, standby: Standby
) -> None:
    async def work(replica: Replica, _: AsyncRedis) -> tuple[str, int, int, bool]:
        user = uuid4()
        await lent(replica, user)
        async with replica.lend(user) as connection:
            slow = "SELECT 'answered' AS title FROM users RIGHT JOIN (SELECT pg_sleep(1)) s ON true"
            asked = asyncio.create_task(connection.row(Title, slow))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(system.execute, "ALTER TABLE users ADD x int")
            found = await asked
        assert found
        return found.title, replica.reads, replica.passed_on, replica.is_fresh()

    try:
        assert with_replica(own_settings(system), work) == ("answered", 1, 1, True)
    finally:
        system.execute("ALTER TABLE users DROP x")


def test_a_write_that_cannot_be_noted_waits_until_the_replica_shows_it(
    system: System, standby: Standby
) -> None:
    async def work(replica: Replica, client: AsyncRedis) -> tuple[bool, bool]:
        user = uuid4()
        await lent(replica, user)
        request = _Request()
        standby.hold()

        async def write() -> None:
            async with replica.serving(request, user, reads=False):
                async with request.scope["state"]["database"].connection() as connection:
                    await connection.execute("CREATE TABLE noted ()")
                await client.config_set("maxmemory", "1")

        writing = asyncio.create_task(write())
        await asyncio.sleep(LIMIT / 3)
        waited = not writing.done()
        standby.go_on()
        async with asyncio.timeout(LIMIT / 2):
            await writing
        async with replica._pool.connection() as connection:
            found = await connection.row(Title, "SELECT to_regclass('noted')::text AS title")
        return waited, bool(found and found.title)

    try:
        assert with_replica(own_settings(system), work) == (True, True)
    finally:
        system.execute("DROP TABLE noted")


class _Request:
    def __init__(self) -> None:
        self.scope: MutableMapping[str, Any] = {"state": {}}


def test_while_redis_is_away_nobody_knows_who_wrote_and_the_primary_is_read(
    system: System, standby: Standby
) -> None:
    async def work(replica: Replica, client: AsyncRedis) -> tuple[bool, int]:
        user = uuid4()
        await lent(replica, user)
        system.redis_proxy.refuse()
        with pytest.raises(redis.exceptions.RedisError):
            await client.ping()
        may = await replica.may_show(user)
        async with replica.lend(user) as connection:
            await connection.row(Title, "SELECT 'x' AS title")
        return may, replica.reads

    assert with_replica(own_settings(system), work) == (False, 0)


def test_a_server_that_is_ahead_follows_another_primary(system: System, standby: Standby) -> None:
    """As one does that the failover went past: by its positions it would be new for a while."""
    looked = Freshness(5)
    looked.note(1.0, 100, 100)
    assert looked.age(1.5) == 0.5
    ahead = "DATABASE_READ_URL leads to a server that is ahead"

    async def work(replica: Replica, _: AsyncRedis) -> None:
        async with replica._primary.connection() as old, replica._primary.connection() as new:
            old.row = _told(follows=True, position=2**60)  # type: ignore[method-assign]
            await replica._look(new, old)

    with pytest.raises(Exception, match=ahead):
        with_replica(own_settings(system), work)


def _told(**columns: Any) -> Any:
    async def row(kind: Any, *_: object) -> Any:
        return kind(**columns)

    return row


def test_what_the_replica_shows_is_as_old_as_the_last_position_that_it_has_reached() -> None:
    freshness = Freshness(5)
    assert freshness.age(0) == float("inf")
    freshness.note(10, written=100, replayed=90)
    assert freshness.age(10) == float("inf")
    freshness.note(11, written=200, replayed=150)
    assert freshness.age(12) == 2
    freshness.note(12, written=200, replayed=200)
    assert freshness.age(12) == 0
    freshness.note(13, written=300, replayed=200)
    freshness.note(14, written=300, replayed=200)
    assert freshness.age(14) == 2
    freshness.forget()
    assert freshness.age(14) == float("inf")


def test_a_replica_that_stands_still_is_not_remembered_for_ever() -> None:
    freshness = Freshness(5)
    for at in range(1000):
        freshness.note(at, written=1000 + at, replayed=999)
    assert len(freshness._written) == 6
    assert freshness.age(1000) == float("inf")
    freshness.note(1000, written=2000, replayed=1997)
    assert freshness.age(1000) == 3


def test_a_promoted_replica_is_a_replica_no_more(
    system: System, standby: Standby, tmp_path: Path
) -> None:
    usual = standby.read_url
    promoted = Standby(system.postgres, "promoted")
    system.environ["DATABASE_READ_URL"] = promoted.read_url
    try:
        start_counting_api(system)
        rider = system.make_rider()
        workout_id = rider.start(title="before")
        forget_writes(system)
        await_reading(system, rider, workout_id)
        promote(promoted)
        system.await_log("api", "follows no other")
        [finding] = check_replica(Patient(own_settings(system), tmp_path))
        assert "follows no other" in finding.wrong
        with psycopg.connect(promoted.url) as connection:
            connection.execute("UPDATE workouts SET title = 'elsewhere'")
        answered = read_by_replica(system)
        assert title_of((rider, workout_id)) == "before"
        assert read_by_replica(system) == answered
    finally:
        system.environ["DATABASE_READ_URL"] = usual
        promoted.close()
