"""A former primary of PostgreSQL comes back, as it was and then as a replica of the new one."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.faults.standby import Standby, as_superuser, in_sync, keep_wal, promote, rejoin
from tests.faults.system import Server, System, running_system
from tests.worker.waiting import eventually

ASTRAY = "SET synchronous_commit = local; UPDATE workouts SET title = 'astray'"
T0 = 1_700_000_000_000


@pytest.fixture
def system() -> Iterator[System]:
    with running_system() as system:
        keep_wal(system.postgres)
        system.start_api()
        system.start_worker()
        yield system


@pytest.fixture
def standby(system: System) -> Iterator[Standby]:
    first, standby = system.postgres, in_sync(system.postgres, "standby")
    yield standby
    system.kill_api()
    system.kill_workers()
    first.stop()
    standby.close()


def fail_over(system: System, promoted: Server) -> None:
    promote(promoted)
    system.postgres = promoted
    system.postgres_proxy.lead_to(promoted.socket_path)


def titles_at(server: Server) -> list[Any]:
    return [title for (title,) in as_superuser(server, "SELECT title FROM workouts")]


def follows(server: Server) -> bool:
    return as_superuser(server, "SELECT pg_is_in_recovery()") == [(True,)]


def test_a_former_primary_harms_nothing_and_follows_the_new_one(
    system: System, standby: Standby
) -> None:
    """Frozen, it is rewound; killed, it is copied anew. Each time the other takes its place."""
    first, rider = system.postgres, system.make_rider()
    ride = rider.start(title="before")
    path = f"/api/workouts/{ride}"

    def rename(title: str) -> None:
        eventually(lambda: rider.client.patch(path, json={"title": title}).status_code == 200)

    first.pause()
    fail_over(system, standby)
    first.resume()
    as_superuser(first, ASTRAY)
    rename("after")
    assert (titles_at(first), titles_at(standby)) == (["astray"], ["after"])
    assert rider.workout(ride)["title"] == "after"
    rejoin(first, standby)
    assert follows(first)
    eventually(lambda: titles_at(first) == ["after"])

    standby.kill()
    fail_over(system, first)
    standby.start()
    as_superuser(standby, ASTRAY)
    rename("back")
    assert (titles_at(standby), titles_at(first)) == (["astray"], ["back"])
    rejoin(standby, first, by="pg_basebackup")
    assert follows(standby)
    eventually(lambda: titles_at(standby) == ["back"])

    samples = [{"timestamp": T0 + 1000 * at, "power": 200} for at in range(60)]
    assert rider.upload(ride, {"samples": samples}).status_code == 202
    assert rider.complete(ride, wait=20)["summary"]["sampleCount"] == 60
