"""What is beside the PostgreSQL and the Redis of a chaos run: `make chaos ON=…`.

A function for each: it puts more servers beside those of a system that has no processes yet, has
them used by its environment, and gives the faults that can then be done to them, too.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import httpx2

from ops.processes import stop
from tests.faults.history import History
from tests.faults.proxy import Proxy
from tests.faults.random_faults import Inject
from tests.faults.standby import Standby, as_superuser, in_sync, keep_wal, promote, rejoin
from tests.faults.system import Server, System
from tests.ops.pooler import Pooler

Faults = Mapping[str, Inject]
Surround = Callable[[System, History], AbstractContextManager[Faults]]
_LONGEST: Final = 3.5  # seconds that a fault lasts
_T0: Final = 1_700_000_000_000
_LENGTH: Final = 60  # samples


@contextmanager
def alone(_system: System, _history: History) -> Iterator[Faults]:
    """Nothing."""
    yield {}


@contextmanager
def with_replica(system: System, history: History) -> Iterator[Faults]:
    """A streaming replica that is read from, and riders who see whether what they read is right."""
    standby = Standby(system.postgres)
    system.environ["DATABASE_READ_URL"] = standby.read_url
    system.environ["READ_LAG_LIMIT"] = "2"
    faults: dict[str, Inject] = {
        "replica killed": partial(_kill, standby),
        "replica restarted": partial(_restart, standby),
        "replica paused": partial(_for_a_while, standby.pause, standby.resume),
        "replica behind": partial(_for_a_while, standby.hold, standby.go_on),
        **_on_the_way("replica", standby.proxy),
        **_on_the_way("replica's WAL", standby.line),
    }
    try:
        with _looking(system, history):
            yield faults
    finally:
        _dismiss(system)
        standby.close()


@contextmanager
def with_pgbouncer(system: System, _: History) -> Iterator[Faults]:
    """A pooler in transaction mode, by which all processes reach PostgreSQL."""
    folder = Path(system.postgres.socket_path).parents[1] / "pooler"
    folder.mkdir(mode=0o755)
    behind = f"host=127.0.0.1 port={system.postgres_proxy.port} dbname=tracker"
    pooler = Pooler(folder, behind)
    proxy = Proxy(pooler.port)
    system.environ["DATABASE_URL"] = Pooler.reached_at(proxy.port)
    faults: dict[str, Inject] = {
        "pooler killed": partial(_kill, pooler),
        "pooler restarted": partial(_restart, pooler),
        "pooler paused": partial(_for_a_while, pooler.pause, pooler.resume),
        **_on_the_way("pooler", proxy),
    }
    try:
        yield faults
    finally:
        _dismiss(system)
        proxy.close()
        stop(pooler.process)


@contextmanager
def _with_failover(how: str, system: System, history: History) -> Iterator[Faults]:
    """A replica that is read from, and takes the place of a primary that is lost.

    ``how``: its `synchronous_commit`. Where commits do not wait for the replica, what a rider has
    read may be lost, so nobody looks.
    """
    pair = _Pair(system, how)
    faults: dict[str, Inject] = {
        "PostgreSQL killed and failed over": partial(pair.fail_over, Server.kill, Server.start),
        "PostgreSQL frozen and failed over": partial(pair.fail_over, Server.pause, Server.resume),
    }
    try:
        with _looking(system, history) if how == "on" else nullcontext():
            yield faults
    finally:
        _dismiss(system)
        pair.close()


class _Pair:
    """A primary, and a replica that takes its place when it is lost, and gets it as its replica."""

    def __init__(self, system: System, how: str) -> None:
        self._how = how
        keep_wal(system.postgres)
        self._standby = in_sync(system.postgres, "standby", how)
        self._both: tuple[Server, Server] = (system.postgres, self._standby)
        system.environ["DATABASE_READ_URL"] = self._standby.read_url
        system.environ["READ_LAG_LIMIT"] = "2"

    def fail_over(
        self,
        lose: Callable[[Server], None],
        bring_back: Callable[[Server], None],
        system: System,
        chance: random.Random,
    ) -> bool:
        """Who was lost comes back as if it still were the primary, and takes a write of its own."""
        former = system.postgres
        [promoted] = [each for each in self._both if each is not former]
        lose(former)
        time.sleep(chance.uniform(0, 1))
        promote(promoted)
        system.postgres = promoted
        system.postgres_proxy.lead_to(promoted.socket_path)
        bring_back(former)
        as_superuser(former, "SET synchronous_commit = local; CREATE TABLE astray ()")
        time.sleep(chance.uniform(0, _LONGEST))
        rejoin(former, promoted, self._how)
        self._standby.proxy.lead_to(former.socket_path)
        return True

    def close(self) -> None:
        for each in self._both:
            each.stop()
        self._standby.close()


SURROUNDINGS: Final[Mapping[str, Surround]] = {
    "replica": with_replica,
    "pgbouncer": with_pgbouncer,
    # Commits wait for the replica, or (with which a failover may lose some) for the primary alone.
    "failover": partial(_with_failover, "on"),
    "asynchronous-failover": partial(_with_failover, "local"),
}


def _dismiss(system: System) -> None:
    """End who uses the servers, before these."""
    system.kill_api()
    system.kill_workers()


class _Killable(Protocol):
    def kill(self) -> None: ...

    def stop(self) -> None: ...

    def start(self) -> None: ...


def _kill(server: _Killable, _: System, chance: random.Random) -> bool:
    server.kill()
    time.sleep(chance.uniform(0, 1))
    server.start()
    return True


def _restart(server: _Killable, _: System, chance: random.Random) -> bool:
    server.stop()
    time.sleep(chance.uniform(0, 1))
    server.start()
    return True


def _for_a_while(
    harm: Callable[[], None], mend: Callable[[], None], _: System, chance: random.Random
) -> bool:
    harm()
    time.sleep(chance.uniform(0.5, _LONGEST))
    mend()
    return True


def _on_the_way(name: str, proxy: Proxy) -> Faults:
    return {
        f"{name} cut off": partial(_cut, proxy),
        f"{name} refusing": partial(_for_a_while, proxy.refuse, proxy.restore),
        f"{name} frozen on the way": partial(_for_a_while, proxy.freeze, proxy.restore),
    }


def _cut(proxy: Proxy, _: System, __: random.Random) -> bool:
    proxy.cut()
    return True


@contextmanager
def _looking(system: System, history: History) -> Iterator[None]:
    """Riders who see meanwhile whether what they read is right."""
    stopped = threading.Event()
    looking = [
        threading.Thread(target=look, args=[system, history, stopped]) for look in (_edit, _read)
    ]
    for each in looking:
        each.start()
    try:
        yield
    finally:
        stopped.set()
        for each in looking:
            each.join()


def _edit(system: System, history: History, stopped: threading.Event) -> None:
    """Change a ride's title again and again; whatever is read is the last change that succeeded.

    Or one after it whose answer was lost, and which may have been made.
    """
    rider = system.make_rider(timeout=15)
    path, number, possible = "", 0, set[str | None]()
    while not stopped.wait(0.05):
        try:
            if not path:
                path = f"/api/workouts/{rider.start(title='0')}"
                possible = {"0"}
            number += 1
            possible.add(str(number))
            answer = rider.client.patch(path, json={"title": str(number)})
            if answer.status_code == 200:
                possible = {str(number)}
            read = rider.client.get(path)
        except (httpx2.TransportError, AssertionError):
            continue
        if read.status_code != 200:
            continue
        history.answers["own change read"] += 1
        if (title := read.json()["workout"]["title"]) not in possible:
            history.surprises.append(f"read {title!r} after {sorted(map(str, possible))}")


def _read(system: System, history: History, stopped: threading.Event) -> None:
    """Read a ride that is over again and again; it is there, with all of its samples."""
    rider, path = system.make_rider(timeout=15), ""
    samples = [{"timestamp": _T0 + 1000 * at, "power": 200} for at in range(_LENGTH)]
    while not stopped.wait(0.05):
        try:
            if not path:
                workout_id = rider.start()
                assert rider.upload(workout_id, {"samples": samples}).status_code == 202
                rider.complete(workout_id, wait=10)
                path = f"/api/workouts/{workout_id}/telemetry"
            read = rider.client.get(path)
        except (httpx2.TransportError, AssertionError):
            continue
        if read.status_code == 200:
            history.answers["ride read"] += 1
        if read.status_code == 404 or (read.is_success and read.json()["sampleCount"] != _LENGTH):
            history.surprises.append(f"a ride that is over was read as {read.text[:200]}")
