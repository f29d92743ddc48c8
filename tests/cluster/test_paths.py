"""What the service does, on a cluster and on a primary that sentinels name."""

import pytest

from tests.cluster.system import ScaledSystem
from tests.faults.invariants import assert_all_is_kept
from tests.faults.recordings import batches_of, readings, record


@pytest.fixture(params=["on_cluster", "on_sentinel"])
def system(request: pytest.FixtureRequest) -> ScaledSystem:
    found: ScaledSystem = request.getfixturevalue(request.param)
    return found


def test_rides_of_many_nodes_are_uploaded_and_folded(system: ScaledSystem) -> None:
    system.start_api()
    system.start_worker(CHECKPOINT_INTERVAL="1")
    system.start_worker(CHECKPOINT_INTERVAL="1")
    recordings = [record(system.make_rider(), *batches_of(readings(60), 20)) for _ in range(6)]
    for recording in recordings:
        recording.complete()
    recordings[0].upload(readings(30, 100))  # late
    assert_all_is_kept(system, *recordings)
