"""What Redis loses of messages that it has acknowledged, the API feeds to their rides again."""

from uuid import UUID

import pytest

from api.clients.messages import Reading
from api.clients.recent import KEPT_FOR, RecentReadings
from shared.redis_keys import EPOCH
from tests.api.clients.rides import a_ride
from tests.api.clients.talking import Phone
from tests.faults.system import System


@pytest.fixture
def phone(system: System) -> Phone:
    """A client of the original service. No checkpoint makes durable what it sends."""
    system.start_api()
    system.start_worker(CHECKPOINT_INTERVAL="600")
    rider = system.make_rider()
    return Phone(rider.account, rider.client)


def test_a_ride_that_goes_on_after_a_loss_gets_its_last_seconds_again(
    system: System, phone: Phone
) -> None:
    ride = phone.start("s")["id"]
    *before, last = a_ride(40)
    for sample in before:
        phone.send("s", sample)
    system.redis_client.flushall()  # worse than any failover
    phone.send("s", last)
    held = phone.call("GET", f"/api/workouts/{ride}", params={"includeTelemetry": "true"})
    assert [each["power"] for each in held["telemetry"]] == [
        each["power"] for each in [*before, last]
    ]


def test_a_ride_that_ends_after_a_loss_does_too(system: System, phone: Phone) -> None:
    ride = phone.start("s")["id"]
    for sample in a_ride(40):
        phone.send("s", sample)
    system.redis_client.flushall()
    assert phone.complete(ride)["archivedMessages"] == 40


def test_of_two_samples_of_one_moment_the_later_counts_whatever_is_fed_again(
    system: System, phone: Phone
) -> None:
    ride = phone.start("s")["id"]
    moment = a_ride(1)[0]["timestamp"]
    phone.send("s", {"timestamp": moment, "power": 100})
    system.redis_client.delete(EPOCH)
    phone.send("s", {"timestamp": moment, "power": 300})
    assert phone.complete(ride)["workout"]["summary"]["maxPower"] == 300


def test_only_the_last_seconds_are_kept_and_given_for_another_epoch() -> None:
    now, (ride, other) = 0.0, (UUID(int=1), UUID(int=2))
    recent = RecentReadings(lambda: now)
    first, second = (Reading(at, (200.0,), is_stamped=True) for at in (1000, 2000))
    recent.note(ride, "a", [first])
    now = KEPT_FOR - 1
    recent.note(ride, "a", [second])
    assert recent.perhaps_lost(ride, "a") == recent.perhaps_lost(other, "b") == []
    assert recent.perhaps_lost(ride, "b") == [first, second]
    now = KEPT_FOR + 1
    assert recent.perhaps_lost(ride, "b") == [second]
    now = 3 * KEPT_FOR
    recent.note(other, "a", [first])
    assert list(recent._rides) == [other]
