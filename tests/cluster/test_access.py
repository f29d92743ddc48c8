"""By TLS and passwords alone, and on the oldest Redis there may be: uploads, folds, a failover."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
import redis

from tests.cluster.access import Access, secured
from tests.cluster.nodes import Cluster, Watched, running_cluster, running_watched
from tests.cluster.system import ScaledSystem, running_on
from tests.cluster.test_paths import ops
from tests.faults.invariants import assert_all_is_kept
from tests.faults.recordings import batches_of, readings, record
from tests.worker.waiting import eventually


@pytest.fixture(params=[running_cluster, running_watched])
def system(
    request: pytest.FixtureRequest, database_url: str, tmp_path: Path
) -> Iterator[ScaledSystem]:
    running: Callable[[Access], AbstractContextManager[Cluster | Watched]] = request.param
    with (
        running(secured(tmp_path)) as scaled,
        running_on(scaled, database_url, "secured") as system,
    ):
        yield system


def test_rides_are_kept_over_a_failover_by_tls_and_passwords_alone(system: ScaledSystem) -> None:
    system.start_api()
    system.start_worker()
    scaled = system.scaled
    recordings = [record(system.make_rider(), *batches_of(readings(60), 20)) for _ in range(4)]
    lost = scaled.primaries()[0]
    replica = scaled.replica_of(lost)
    lost.kill()
    eventually(lambda: replica in scaled.primaries(), within=30)
    for recording in recordings:
        recording.insist(readings(60, 100))
        recording.complete()
    assert_all_is_kept(system, *recordings)


def test_commands_look_at_them(system: ScaledSystem, tmp_path: Path) -> None:
    system.start_worker()
    eventually(lambda: "workers     1" in ops(system, tmp_path, "status").stdout, within=30)
    assert "well   queues" in ops(system, tmp_path, "doctor").stdout
    told = ops(system, tmp_path, "redis-cli", "SET", "epoch:0", "1")
    assert told.stdout.strip() == "OK", told.stderr


def test_nobody_is_let_in_without_them(system: ScaledSystem) -> None:
    node = system.scaled.primaries()[0]
    with (
        redis.Redis(host="127.0.0.1", port=node.port) as plain,
        pytest.raises(redis.ConnectionError),
    ):
        plain.ping()
    certificate = str(node.access.certificate)
    with (
        redis.Redis(
            host="127.0.0.1", port=node.port, ssl=True, ssl_ca_certs=certificate
        ) as unknown,
        pytest.raises(redis.AuthenticationError),
    ):
        unknown.ping()
