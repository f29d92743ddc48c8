"""An API and workers on two hosts each: any one of them may be cut off, and come back."""

from typing import Any

import pytest

from ops.processes import Process
from tests.conftest import Rider
from tests.faults.invariants import are_completed, assert_all_is_kept, is_idle
from tests.faults.recordings import Recording, batches_of, readings, record
from tests.faults.stalls import is_stopped, kept_awake, wake
from tests.hosts.host import Host
from tests.hosts.system import HostedSystem
from tests.worker.waiting import eventually
from tests.worker.workouts import pending

LEASE = "1"


def completed_ride(hosted: HostedSystem) -> Recording:
    recording = record(hosted.make_rider(), *batches_of(readings(1800), 600))
    assert recording.complete().status_code == 202
    return recording


def consumers(hosted: HostedSystem) -> set[Any]:
    """Who has an event."""
    return {event["consumer"] for event in pending(hosted.redis_client)}


def stalled_worker(hosted: HostedSystem, host: Host, step: str) -> Process:
    """A worker on that host that has stopped at a step, and will again."""
    worker = hosted.start_worker_on(host, FAILPOINT=f"{step}=stop", LEASE=LEASE)
    eventually(lambda: is_stopped(worker.pid))
    return worker


def test_a_ride_goes_through_both_api_hosts(hosted: HostedSystem) -> None:
    hosted.start_api()
    for host in hosted.worker_hosts:
        hosted.start_worker_on(host)
    riders = [hosted.make_rider() for _ in range(4)]
    recordings = [record(rider, *batches_of(readings(600), 20)) for rider in riders]
    for recording in recordings:
        recording.complete()
    recordings[0].upload(readings(30, 700))  # late
    assert_all_is_kept(hosted, *recordings)


def test_who_rides_on_goes_to_the_other_api_host(hosted: HostedSystem) -> None:
    hosted.start_api()
    hosted.start_worker()
    recording = record(hosted.make_rider(timeout=1), readings(20))
    for nth, host in enumerate((*hosted.api_hosts, *hosted.api_hosts), 1):
        hosted.network.cut_off(host)
        for batch in batches_of(readings(200, 200 * nth), 20):
            recording.insist(batch)
        hosted.network.join()
    eventually(lambda: recording.complete().is_success)
    assert_all_is_kept(hosted, recording)


def test_one_host_tells_what_another_one_was_told(hosted: HostedSystem) -> None:
    """A change by one of them holds at the other one at once, and a key that ends ends soon."""
    hosted.start_api()
    account = hosted.make_rider()
    one, two = (_by(hosted, account, host) for host in hosted.api_hosts)
    ride = one.start(title="one")
    assert two.client.patch(f"/api/workouts/{ride}", json={"title": "two"}).is_success
    assert one.workout(ride)["title"] == "two"
    key = one.client.post("/api/keys", json={"name": "device", "scopes": ["read"]}).json()
    headers = {"X-API-Key": key["secret"]}
    assert two.client.get("/api/workouts", headers=headers).is_success
    assert one.client.delete(f"/api/keys/{key['key']['id']}").is_success
    eventually(lambda: two.client.get("/api/workouts", headers=headers).status_code == 401)


def _by(hosted: HostedSystem, rider: Rider, host: Host) -> Rider:
    """The same user, who asks that host alone."""
    client = hosted.make_rider(hosts=[host]).client
    client.headers["X-API-Key"] = rider.account.api_key
    return Rider(rider.account, client)


@pytest.mark.parametrize("step", ["after-commit", "before-acknowledge"])
def test_a_worker_host_that_comes_back_counts_nothing_twice(
    hosted: HostedSystem, step: str
) -> None:
    """Its claim was taken over, and the ride was done with, before it went on."""
    hosted.start_api()
    recording = completed_ride(hosted)
    first, second = hosted.worker_hosts
    worker = stalled_worker(hosted, first, step)
    hosted.network.cut_off(first)
    with kept_awake(worker):  # it goes on, and reaches nobody
        hosted.start_worker_on(second, LEASE=LEASE)
        eventually(lambda: are_completed(hosted, [recording]) and is_idle(hosted))
        recording.upload(readings(60, 1800))
        hosted.network.join()
        assert_all_is_kept(hosted, recording)
    assert worker.poll() is None


def test_a_worker_host_that_is_cut_off_in_its_transaction_ends_it_when_it_comes_back(
    hosted: HostedSystem,
) -> None:
    """PostgreSQL has heard nothing of it, and keeps the ride's row for it for a minute."""
    hosted.start_api()
    recording = completed_ride(hosted)
    first, second = hosted.worker_hosts
    worker = stalled_worker(hosted, first, "before-commit")
    had_by = consumers(hosted)
    hosted.network.cut_off(first)
    wake(worker)
    hosted.start_worker_on(second, LEASE=LEASE)
    eventually(lambda: bool(consumers(hosted) - had_by))
    eventually(hosted.has_waiting_transaction)
    hosted.network.join()
    with kept_awake(worker):
        assert_all_is_kept(hosted, recording)
    assert worker.poll() is None
