"""Primaries that die, or freeze, while devices upload: what Redis loses, the devices send again."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest

from examples.device_client import Device
from shared.connections import open_async_database, open_async_redis, redis_at
from shared.events import FoldRequest
from shared.redis_keys import Queue, samples_key, wrote_key
from shared.replicas import Replica
from shared.settings import read_settings
from tests.api.answers import T0, seconds_of
from tests.cluster.nodes import Cluster, Node, Watched
from tests.cluster.system import ScaledSystem
from tests.conftest import Rider
from tests.examples.rides import assert_one_ride, device_of, rows
from tests.worker.waiting import eventually
from worker.rides import stream

PART = 20  # samples
QUEUE = Queue.PROMPT


class Riding:
    """Riders, each with a device that rides for as long as it is told."""

    def __init__(self, system: ScaledSystem, folder: Path, count: int) -> None:
        self._system = system
        self._stack = ExitStack()
        self.troubles: list[Any] = []
        self.riders = [system.make_rider() for _ in range(count)]
        self.devices = [self._device(rider, folder) for rider in self.riders]
        self._sent = [0] * count
        self._over = threading.Event()
        for device in self.devices:
            device.start()

    def _device(self, rider: Rider, folder: Path) -> Device:
        file = folder / f"{rider.account.user_id}.db"
        device = device_of(rider, file, self._system.url, self.troubles)
        return self._stack.enter_context(closing(device))

    @contextmanager
    def under_load(self) -> Iterator[None]:
        """All of them ride on meanwhile."""
        with ThreadPoolExecutor(1) as thread:
            riding = thread.submit(self._ride_on)
            try:
                yield
            finally:
                self._over.set()
                riding.result()

    def _ride_on(self) -> None:
        while not self._over.wait(0.05):
            for nth, device in enumerate(self.devices):
                device.add(*rows(PART, self._sent[nth]))
                self._sent[nth] += PART

    def await_progress(self, parts: int = 5) -> None:
        """Return once each device has been told that so much more is stored."""
        goals = [sent + PART * parts for sent in self._sent]
        for nth, device in enumerate(self.devices):
            eventually(
                lambda nth=nth, device=device: (
                    self._sent[nth] - device.unsent  # type: ignore[misc]
                    >= goals[nth]
                ),
                within=60,
            )

    def end(self) -> None:
        """All rides end: each has every sample that its device was handed."""
        with self._stack:
            for device in self.devices:
                device.complete()
            for device in self.devices:
                assert device.wait(60), self.troubles[-3:]
        for nth, rider in enumerate(self.riders):
            assert_one_ride(rider, rows(self._sent[nth]))

    @property
    def may_have_lost(self) -> int:
        """How often a device was told that something may be lost."""
        return sum("may have lost" in str(each) for each in self.troubles)


def start(system: ScaledSystem, tmp_path: Path, count: int = 6) -> Riding:
    system.start_api()
    system.start_worker(CHECKPOINT_INTERVAL="2")
    system.start_worker(CHECKPOINT_INTERVAL="2")
    return Riding(system, tmp_path, count)


def test_a_primary_that_is_killed_under_load_costs_no_sample(
    on_cluster: ScaledSystem, cluster: Cluster, tmp_path: Path
) -> None:
    riding = start(on_cluster, tmp_path)
    with riding.under_load():
        riding.await_progress()
        primary = cluster.primaries()[0]
        replica = cluster.replica_of(primary)
        primary.kill()
        ready = httpx2.get(f"{on_cluster.url}/health/ready", timeout=30)
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        assert any(primary.name in problem for problem in ready.json()["problems"])
        eventually(lambda: replica in cluster.primaries())
        riding.await_progress()
        eventually(lambda: riding.may_have_lost > 0)
        primary.start()
        riding.await_progress()
    riding.end()


def test_a_primary_that_freezes_and_comes_back_costs_no_sample(
    on_cluster: ScaledSystem, cluster: Cluster, tmp_path: Path
) -> None:
    riding = start(on_cluster, tmp_path)
    with riding.under_load():
        riding.await_progress()
        primary = cluster.primaries()[1]
        replica = cluster.replica_of(primary)
        primary.pause()
        eventually(lambda: replica.client.role()[0] == b"master")
        primary.resume()
        eventually(lambda: cluster.is_synced(primary))
        riding.await_progress()
        eventually(lambda: riding.may_have_lost > 0)
    riding.end()


@pytest.mark.parametrize("lose", [Node.kill, Node.pause], ids=["killed", "frozen"])
def test_a_node_that_is_away_for_good_costs_only_what_it_has(
    lose: Callable[[Node], None], on_cluster: ScaledSystem, cluster: Cluster
) -> None:
    """With its replica: all other rides go on, though what is due of its own comes up first."""
    on_cluster.start_api()
    lost = next(each for each in cluster.primaries() if each is not cluster.primary_of(QUEUE))
    rider = _rider_elsewhere(on_cluster, cluster, lost)
    theirs, others = _rides_of(rider, cluster, lost)
    for node in (cluster.replica_of(lost), lost):
        lose(node)
    for ride in theirs:
        on_cluster.redis_client.xadd(QUEUE, FoldRequest(UUID(ride)).fields())
    silent = (theirs.pop(), others.pop())
    over = f"status = 'PROCESSING' WHERE id NOT IN {silent}"  # and nobody asks for the folds
    on_cluster.execute(f"UPDATE workouts SET {over}")
    on_cluster.start_worker(IDLE_TIMEOUT="25")
    for ride in others:
        eventually(lambda ride=ride: _is_complete(rider, ride, 60), within=120)  # type: ignore[misc]
    late = seconds_of(200, 10, T0 + 60_000)
    assert rider.upload(others[0], late).status_code == 202
    assert rider.upload(theirs[0], late).status_code == 503
    eventually(lambda: _is_complete(rider, others[0], 70), within=120)
    eventually(lambda: _is_complete(rider, silent[1], 60), within=120)
    cluster.mend()
    for ride in (*theirs, silent[0]):
        eventually(lambda ride=ride: _is_complete(rider, ride, 60), within=120)  # type: ignore[misc]


def _is_complete(rider: Rider, ride: str, samples: int) -> bool:
    workout = rider.workout(ride)
    return bool(workout["status"] == "COMPLETED" and workout["summary"]["sampleCount"] == samples)


def _rider_elsewhere(system: ScaledSystem, cluster: Cluster, lost: Node) -> Rider:
    """One of whom nothing is noted at a node."""
    while True:
        rider = system.make_rider()
        if cluster.primary_of(wrote_key(UUID(rider.account.user_id))) is not lost:
            return rider


def _rides_of(rider: Rider, cluster: Cluster, lost: Node) -> tuple[list[str], list[str]]:
    """Rides of a minute under way: some of a node, some of others."""
    theirs, others = list[str](), list[str]()
    while len(theirs) < 5 or len(others) < 5:
        ride = rider.start()
        assert rider.upload(ride, seconds_of(200, 60)).status_code == 202
        (theirs if cluster.primary_of(samples_key(UUID(ride))) is lost else others).append(ride)
    return theirs, others


def test_a_client_that_had_chosen_a_node_which_died_asks_another(
    on_cluster: ScaledSystem, cluster: Cluster
) -> None:
    """Also for what it asks of any."""
    with redis_at(cluster.url, 5) as client:
        client.ping()
        chosen: Any = client.nodes_manager.default_node
        [lost] = [node for node in cluster.nodes if node.port == chosen.port]
        rides = [uuid4() for _ in range(20)]
        others = [each for each in rides if cluster.primary_of(samples_key(each)) is not lost]
        assert len(others) not in (0, len(rides))
        lost.kill()
        for ride in others:
            stream.leave(client, ride, "1-0", None)
    with redis_at(cluster.url, 5) as begun_later:
        stream.leave(begun_later, others[0], "1-0", None)

    async def begin() -> int:
        async with open_async_redis(read_settings(on_cluster.environ)) as client:
            return await client.exists(samples_key(others[0]))

    assert asyncio.run(begin()) == 0


def test_a_node_that_takes_nothing_is_told_of(on_cluster: ScaledSystem, cluster: Cluster) -> None:
    """Of one, its rides wait; of all, no upload is safe."""
    on_cluster.start_api()
    on_cluster.start_worker()
    ready = f"{on_cluster.url}/health/ready"
    eventually(lambda: httpx2.get(ready).json()["status"] == "ready")
    primaries = cluster.primaries()
    try:
        for count, node in enumerate(primaries, start=1):
            node.client.config_set("maxmemory", 1)
            told = httpx2.get(ready)
            assert any(node.name in problem for problem in told.json()["problems"])
            expected = (200, "degraded") if count < len(primaries) else (503, "not ready")
            assert (told.status_code, told.json()["status"]) == expected
    finally:
        for node in primaries:
            node.client.config_set("maxmemory", 0)
    assert httpx2.get(ready).json()["status"] == "ready"


def test_a_node_that_is_away_leaves_the_replica_of_postgresql_to_others(
    on_cluster: ScaledSystem, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has written is known of all whose node answers."""
    monkeypatch.setattr("shared.replicas._REDIS_PATIENCE", 10.0)  # of a busy machine
    settings = read_settings({**on_cluster.environ, "DATABASE_READ_URL": on_cluster.database_url})
    lost = cluster.primaries()[0]
    users = [uuid4() for _ in range(20)]
    theirs = [each for each in users if cluster.primary_of(wrote_key(each)) is lost]
    assert len(theirs) not in (0, len(users))

    async def look() -> dict[UUID, bool]:
        async with (
            open_async_redis(settings) as client,
            open_async_database(settings) as database,
        ):
            replica = Replica(settings, database, client)
            replica._freshness.note(time.monotonic(), 1, 1)
            for each in users:
                await replica.may_show(each)  # as nobody is shown anything who was just met
            await asyncio.sleep(settings.read_lag_limit)
            for node in (cluster.replica_of(lost), lost):
                node.kill()
            shown = {}
            for each in users:
                replica._freshness.note(time.monotonic(), 1, 1)
                shown[each] = await replica.may_show(each)
            await replica._pool.close()
            return shown

    assert [each for each, shown in asyncio.run(look()).items() if not shown] == theirs


def test_slots_that_move_under_load_cost_no_sample_and_no_answer_but_503(
    on_cluster: ScaledSystem, cluster: Cluster, tmp_path: Path
) -> None:
    riding = start(on_cluster, tmp_path)
    with riding.under_load():
        riding.await_progress()
        for rider in riding.riders:
            [ride] = rider.client.get("/api/workouts").json()["workouts"]
            cluster.move_slot_of(samples_key(UUID(ride["id"])))
        riding.await_progress()
    riding.end()
    others = [str(each) for each in riding.troubles if "may have lost" not in str(each)]
    assert [each for each in others if not each.startswith("503")] == []


def test_a_ride_whose_slot_is_being_moved_is_read_whole(
    on_cluster: ScaledSystem, cluster: Cluster
) -> None:
    """By an epoch that nobody is told twice, until the slot has been moved."""
    on_cluster.start_api()
    rider = on_cluster.make_rider()
    ride = rider.start()
    rider.upload(ride, seconds_of(200, 60))

    def receipts(count: int) -> list[Any]:
        path = f"/api/workouts/{ride}/receipt"
        return [rider.client.get(path).raise_for_status().json() for _ in range(count)]

    with cluster.moving_slot_of(samples_key(UUID(ride))):
        told = receipts(20)
    assert [each["sampleCount"] for each in told] == [60] * 20
    assert len({each["epoch"] for each in told}) == 20
    eventually(lambda: len({each["epoch"] for each in receipts(2)}) == 1)
    assert [each["sampleCount"] for each in receipts(1)] == [60]


def test_a_primary_that_sentinels_replace_under_load_costs_no_sample(
    on_sentinel: ScaledSystem, watched: Watched, tmp_path: Path
) -> None:
    riding = start(on_sentinel, tmp_path, count=3)
    with riding.under_load():
        riding.await_progress()
        primary = watched.primary()
        primary.kill()
        eventually(lambda: watched.primary() is not primary)
        riding.await_progress()
        eventually(lambda: riding.may_have_lost > 0)
        primary.start()
        riding.await_progress()
    riding.end()


def test_a_frozen_primary_that_sentinels_replace_costs_no_sample(
    on_sentinel: ScaledSystem, watched: Watched, tmp_path: Path
) -> None:
    riding = start(on_sentinel, tmp_path, count=3)
    with riding.under_load():
        riding.await_progress()
        primary = watched.primary()
        primary.pause()
        eventually(lambda: watched.primary() is not primary)
        primary.resume()
        riding.await_progress()
        eventually(lambda: riding.may_have_lost > 0)
    riding.end()
