"""Rides against a model in plain dictionaries, with processes and servers killed in between."""

import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    rule,
    run_state_machine_as_test,
)

from tests.conftest import Rider
from tests.faults.random_faults import keep_promises
from tests.faults.system import System, running_system
from tests.worker.readings import T0
from tests.worker.waiting import eventually

Row = dict[str, Any]

_TRANSITIONS = {
    ("ACTIVE", "pause"): "PAUSED",
    ("PAUSED", "pause"): "PAUSED",  # whose answer was lost
    ("ACTIVE", "resume"): "ACTIVE",
    ("PAUSED", "resume"): "ACTIVE",
    ("ACTIVE", "complete"): "COMPLETED",
    ("PAUSED", "complete"): "COMPLETED",
    ("COMPLETED", "complete"): "COMPLETED",
}


@dataclass
class ModelRide:
    """A ride as it should be: of each timestamp and channel the value that came last."""

    id: str
    status: str = "ACTIVE"
    samples: dict[int, Row] = field(default_factory=dict)
    uploads: list[list[Row]] = field(default_factory=list)

    def merge(self, batch: list[Row]) -> None:
        for row in batch:
            values = {name: value for name, value in row.items() if value is not None}
            self.samples.setdefault(row["timestamp"], {}).update(values)

    @property
    def rows(self) -> list[Row]:
        return [self.samples[time] for time in sorted(self.samples)]


# Few timestamps, so that uploads overlap.
_ROWS = st.fixed_dictionaries(
    {"timestamp": st.integers(0, 15).map(lambda second: T0 + 1000 * second)},
    optional={
        "power": st.none() | st.integers(0, 1500),
        "heartrate": st.integers(1, 220),
        "speed": st.integers(0, 20_000).map(lambda value: value / 1000),
    },
)
_BATCHES = st.lists(_ROWS, min_size=1, max_size=8)


class Rides(RuleBasedStateMachine):
    """One rider's rides; the system is shared by all examples, and whole between two rules."""

    system: System
    started = Bundle("started")
    completed = Bundle("completed")

    def __init__(self) -> None:
        super().__init__()
        self.rider: Rider = self.system.make_rider()
        self.rides: list[ModelRide] = []

    @rule(target=started)
    def start(self) -> ModelRide:
        response = self.request("POST", "/api/workouts", json={})
        assert response.status_code == 201
        self.rides.append(ModelRide(response.json()["workout"]["id"]))
        return self.rides[-1]

    @rule(ride=started, batch=_BATCHES)
    def upload(self, ride: ModelRide, batch: list[Row]) -> None:
        self.send(ride, batch)

    @rule(ride=completed, batch=_BATCHES)
    def upload_late(self, ride: ModelRide, batch: list[Row]) -> None:
        self.send(ride, batch)

    @rule(ride=started, data=st.data())
    def upload_again(self, ride: ModelRide, data: st.DataObject) -> None:
        if ride.uploads:
            self.send(ride, data.draw(st.sampled_from(ride.uploads)))

    @rule(ride=started, data=st.data())
    def upload_again_in_another_order(self, ride: ModelRide, data: st.DataObject) -> None:
        if ride.uploads:
            self.send(ride, data.draw(st.permutations(ride.uploads[-1])))

    @rule(ride=started)
    def pause(self, ride: ModelRide) -> None:
        self.change(ride, "pause")

    @rule(ride=started)
    def resume(self, ride: ModelRide) -> None:
        self.change(ride, "resume")

    @rule(target=completed, ride=started)
    def complete(self, ride: ModelRide) -> ModelRide:
        self.change(ride, "complete")
        if ride.status != "DELETED":
            self.compare(ride)
        return ride

    @rule(ride=started | completed)
    def delete(self, ride: ModelRide) -> None:
        response = self.request("DELETE", f"/api/workouts/{ride.id}")
        assert response.status_code == (404 if ride.status == "DELETED" else 200), response.text
        ride.status = "DELETED"

    @rule()
    def kill_worker(self) -> None:
        self.system.workers[0].kill()
        self.system.workers.pop(0).wait()
        self.system.start_worker()

    @rule()
    def cut_connections(self) -> None:
        self.system.redis_proxy.cut()
        self.system.postgres_proxy.cut()

    @rule(seldom=st.integers(0, 2))
    def kill_api(self, seldom: int) -> None:
        if not seldom:
            self.system.kill_api()
            self.system.start_api()

    @rule(seldom=st.integers(0, 2), orderly=st.booleans())
    def restart_valkey(self, seldom: int, orderly: bool) -> None:
        if not seldom:
            self.system.redis.stop() if orderly else self.system.redis.kill()
            self.system.redis.start()
            keep_promises(self.system)

    @rule(seldom=st.integers(0, 2), orderly=st.booleans())
    def restart_postgres(self, seldom: int, orderly: bool) -> None:
        if not seldom:
            self.system.postgres.stop() if orderly else self.system.postgres.kill()
            self.system.postgres.start()

    def teardown(self) -> None:
        for ride in self.rides:
            self.compare(ride)

    def send(self, ride: ModelRide, batch: list[Row]) -> None:
        path = f"/api/workouts/{ride.id}/telemetry"
        response = self.request("POST", path, json=batch)
        if ride.status == "DELETED":
            assert response.status_code == 404, response.text
            return
        assert response.status_code == 202, response.text
        assert response.json()["accepted"] == len(batch)
        ride.uploads.append(batch)
        ride.merge(batch)

    def change(self, ride: ModelRide, action: str) -> None:
        wait = {"Prefer": "wait=30"}
        path = f"/api/workouts/{ride.id}/{action}"
        response = self.request("POST", path, later={503, 202}, headers=wait)
        after = _TRANSITIONS.get((ride.status, action))
        refused = 404 if ride.status == "DELETED" else 409
        assert response.status_code == (200 if after else refused), response.text
        if after:
            ride.status = after
            assert response.json()["workout"]["status"] == after

    def compare(self, ride: ModelRide) -> None:
        """The service tells the same of the ride as the model."""
        if ride.status == "DELETED":
            return self.compare_deleted(ride)
        if ride.status == "COMPLETED":
            eventually(lambda: self.is_archived(ride))  # nothing waits: what follows is archived
        assert self.workout(ride)["status"] == ride.status
        found = self.request("GET", f"/api/workouts/{ride.id}/telemetry").json()
        assert found["samples"] == ride.rows
        return None

    def is_archived(self, ride: ModelRide) -> bool:
        receipt = self.request("GET", f"/api/workouts/{ride.id}/receipt").json()
        summary = self.workout(ride)["summary"]
        durable = receipt["durableThrough"] == max(ride.samples, default=None)
        return durable and bool(summary["sampleCount"] == len(ride.samples))

    def compare_deleted(self, ride: ModelRide) -> None:
        for path in ("", "/telemetry", "/receipt", "/power-curve"):
            assert self.request("GET", f"/api/workouts/{ride.id}{path}").status_code == 404
        listed = self.request("GET", "/api/workouts").json()["workouts"]
        assert ride.id not in [workout["id"] for workout in listed]

    def workout(self, ride: ModelRide) -> dict[str, Any]:
        found: dict[str, Any] = self.request("GET", f"/api/workouts/{ride.id}").json()["workout"]
        return found

    def request(
        self, method: str, path: str, later: Collection[int] = {503}, **request: Any
    ) -> httpx2.Response:
        """The first answer that is not "later"; after a fault there may be a few."""
        deadline = time.monotonic() + 120
        while True:
            try:
                response = self.rider.client.request(method, path, **request)
            except httpx2.TransportError:
                response = None
            if response is not None and response.status_code not in later:
                return response
            assert time.monotonic() < deadline, f"{method} {path} was never answered"
            time.sleep(0.05)


@pytest.fixture
def system() -> Iterator[System]:
    # A statement that a busy machine gives up on may be carried out all the same.
    with running_system(SERVICE_TIMEOUT="30") as system:
        keep_promises(system)
        system.start_worker()
        system.start_worker()
        system.start_api()
        yield system


def test_rides_are_what_the_model_says_whatever_happens_to_the_processes(system: System) -> None:
    run_state_machine_as_test(
        type("Rides", (Rides,), {"system": system}),
        settings=settings(
            max_examples=12,
            stateful_step_count=15,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],  # to shrink a failure would take minutes of restarts
            suppress_health_check=list(HealthCheck),
        ),
    )
