"""Workers that do nothing but what they are asked for."""

from ops.processes import Process
from tests.conftest import Rider
from tests.faults.recordings import readings, record
from tests.faults.system import System


def worker_that_never_sweeps(system: System, rider: Rider) -> Process:
    """Its one sweep, after its first event, is over: it has folded two rides since."""
    worker = system.start_worker(SWEEP_INTERVAL="86400")
    for _ in range(2):
        earlier = record(rider, readings(1))
        rider.complete(earlier.workout_id)
    return worker
