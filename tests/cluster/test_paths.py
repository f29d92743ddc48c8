"""What the service does, on a cluster and on a primary that sentinels name."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2
import pytest

from shared.connections import primaries_of
from shared.redis_keys import samples_key, sealed_key
from tests.api.answers import T0, seconds_of
from tests.api.files.ride_files import ended, fit, post
from tests.api.live.streams import live, watching
from tests.cluster.nodes import Cluster
from tests.cluster.system import ScaledSystem
from tests.conftest import Rider, run_ops
from tests.faults.invariants import assert_all_is_kept
from tests.faults.recordings import batches_of, readings, record


@pytest.fixture(scope="module", params=["cluster_system", "watched_system"])
def served(request: pytest.FixtureRequest) -> Iterator[ScaledSystem]:
    """An API process and two workers."""
    system: ScaledSystem = request.getfixturevalue(request.param)
    system.start_api()
    for _ in range(2):
        system.start_worker()
    yield system
    system.reset()


@pytest.fixture
def rider(served: ScaledSystem) -> Rider:
    return served.make_rider()


def test_rides_of_all_nodes_are_uploaded_and_folded(served: ScaledSystem) -> None:
    riders = [served.make_rider() for _ in range(6)]
    recordings = [record(rider, *batches_of(readings(60), 20)) for rider in riders]
    for recording in recordings:
        recording.complete()
    recordings[0].upload(readings(30, 100))  # late
    assert_all_is_kept(served, *recordings)


def test_a_ride_is_watched_measured_paused_and_completed(rider: Rider) -> None:
    ride = rider.start()
    assert rider.upload(ride, seconds_of(200, 60)).status_code == 202
    with watching(rider.client, live(ride)) as stream:
        stream.await_id()
        rider.upload(ride, seconds_of(210, 10, T0 + 60_000))
        stream.watch_until(T0 + 69_000)
        figures = stream.next("summary").data
        assert figures["summary"]["maxPower"] == 210
        part = {"from": "2023-11-14T22:13:20Z", "to": "2023-11-14T22:14:20Z"}
        measured = rider.client.get(f"/api/workouts/{ride}/figures", params=part)
        assert measured.status_code == 200, measured.text
        receipt = rider.client.get(f"/api/workouts/{ride}/receipt").json()
        assert receipt["sampleCount"] == 70
        rider.complete(ride)
        assert stream.next("end").data["status"] == "COMPLETED"
    assert rider.client.get(f"/api/workouts/{ride}/receipt").json()["epoch"] == receipt["epoch"]


def test_all_rides_of_a_rider_are_told_one_epoch(rider: Rider) -> None:
    """Whichever node they are at: a device compares whatever it was told last."""
    rides = [rider.start() for _ in range(12)]
    told = {rider.upload(ride, seconds_of(200, 1)).json()["epoch"] for ride in rides}
    assert len(told) == 1


def test_a_deleted_ride_takes_no_more_samples(served: ScaledSystem, rider: Rider) -> None:
    ride = rider.start()
    rider.upload(ride, seconds_of(200, 60))
    assert rider.client.delete(f"/api/workouts/{ride}").status_code in (200, 204)
    assert served.redis_client.get(sealed_key(UUID(ride))) == b"deleted"
    assert rider.upload(ride, seconds_of(200, 60)).status_code == 404


def test_a_file_is_imported(rider: Rider) -> None:
    upload = post(rider, fit(600)).json()["upload"]["id"]
    assert ended(rider, upload)["status"] == "done"


def test_streams_of_existing_clients_are_sent_listed_and_deleted(rider: Rider) -> None:
    client = rider.client
    for name in ("one", "two"):
        sent = client.post(f"/api/streams/{name}/messages", json={"message": f"from {name}"})
        assert sent.is_success, sent.text
    listed = client.get("/api/streams").json()["streams"]
    assert [each["name"] for each in listed] == ["one", "two"]
    assert client.delete("/api/streams/one").is_success
    assert len(client.get("/api/streams").json()["streams"]) == 1


def test_links_that_open_nothing_are_counted_and_refused(served: ScaledSystem) -> None:
    with httpx2.Client(base_url=served.url, timeout=30) as client:
        told = {client.get(f"/api/shared/{secrets.token_hex(16)}").status_code for _ in range(310)}
    assert told == {404, 429}


def ops(served: ScaledSystem, folder: Path, *arguments: str, **variables: str) -> Any:
    urls = {"DATABASE_URL": served.database_url, "REDIS_URL": served.redis_url}
    return run_ops(*arguments, data_dir=folder, **urls, **variables)


def test_status_doctor_and_recompute_look_at_every_node(
    served: ScaledSystem, rider: Rider, tmp_path: Path
) -> None:
    ride = rider.start()
    rider.upload(ride, seconds_of(200, 60))
    rider.complete(ride)
    assert "workers     2" in ops(served, tmp_path, "status").stdout
    assert "prompt: 0" in ops(served, tmp_path, "lag").stdout
    said = ops(served, tmp_path, "doctor", PORT=served.url.rpartition(":")[2]).stdout
    assert "well   queues" in said
    assert "well   workers" in said
    if isinstance(served.scaled, Cluster):
        assert "well   Redis" in said
        _assert_coverage_is_looked_at(served, served.scaled, tmp_path)
    else:
        assert "min-replicas-to-write 1" in said
    assert ops(served, tmp_path, "recompute").returncode == 0
    assert ops(served, tmp_path, "redis-cli", "EXISTS", "epoch:0").stdout.strip() in ("0", "1")


def _assert_coverage_is_looked_at(served: ScaledSystem, cluster: Cluster, folder: Path) -> None:
    node = cluster.primaries()[0]
    node.client.config_set("cluster-require-full-coverage", "yes")
    try:
        wrong = f"WRONG  Redis: {node.name}: while nobody serves"
        assert wrong in ops(served, folder, "doctor").stdout
    finally:
        node.client.config_set("cluster-require-full-coverage", "no")


def test_what_waits_is_backed_up_and_restored(
    served: ScaledSystem, rider: Rider, tmp_path: Path
) -> None:
    """At every node; and every device is told of the loss."""
    served.kill_workers()
    rides = [rider.start() for _ in range(8)]
    before = {rider.upload(ride, seconds_of(200, 60)).json()["epoch"] for ride in rides}
    backups = {"BACKUP_DIR": str(tmp_path)}
    done = ops(served, tmp_path, "backup", **backups)
    assert done.returncode == 0, done.stderr
    [file] = tmp_path.glob("bpt-*.backup")
    for server in primaries_of(served.redis_client).values():
        server.flushall()
    restored = ops(served, tmp_path, "restore", FILE=str(file), FORCE="1")
    assert restored.returncode == 0, restored.stderr
    assert all(served.redis_client.exists(samples_key(UUID(ride))) for ride in rides)
    after = {rider.client.get(f"/api/workouts/{ride}/receipt").json()["epoch"] for ride in rides}
    assert not before & after
    for _ in range(2):
        served.start_worker()
    for ride in rides:
        assert rider.complete(ride)["summary"]["sampleCount"] == 60
