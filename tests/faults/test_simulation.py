"""`make simulate` while its servers are killed: nothing is lost."""

from tests.api.answers import eventually
from tests.faults.system import System
from tests.ops.simulation.test_simulate import held, rides_of, simulating

RIDE = {"RIDERS": "3", "MINUTES": "2", "SPEED": "20"}  # six seconds


def test_servers_that_are_killed_cost_the_simulated_riders_nothing(system: System) -> None:
    rider = system.make_rider()
    system.start_worker()
    system.start_api()
    with simulating(system.url, KEY=rider.account.api_key, **RIDE) as simulation:
        eventually(lambda: len(held(rider)) == 3 and min(held(rider)) > 0)
        system.kill_api()
        system.start_api()
        system.redis.kill()
        system.redis.start()
        system.redis_client.flushall()  # what was acknowledged is lost, and sent again
        said, _ = simulation.communicate(timeout=120)
    assert simulation.returncode == 0, said
    assert "3 of 3 rides complete: 360 samples sent, 360 stored: every sample is stored" in said
    assert [each["summary"]["sampleCount"] for each in rides_of(rider)] == [120, 120, 120]
