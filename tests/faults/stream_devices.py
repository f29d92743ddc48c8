"""Devices of the original service's kind: each sample is a message to the stream of a ride."""

import json
import time
from typing import Any, Final
from uuid import UUID, uuid4

import httpx2

from tests.faults.devices import Device, Row, plan, samples_of
from tests.faults.history import RideHistory

_MOST: Final = 150  # messages of a ride
_BEFORE: Final = 10  # at most, that the stream has before the ride is started
_NOT_ACTIVE: Final = 400  # to who completes a second time


class StreamDevice(Device):
    """Starts, sends and completes as existing clients do, and goes on until it is answered."""

    def ride(self) -> RideHistory:
        """Messages in any order, some before the ride is started, some twice; then complete it.

        Nothing comes late: with the ride its stream is gone, and the name is free for another one.
        """
        rows = self._shuffled(plan(self._next_start(), self._chance)[:_MOST])
        early = rows[: self._chance.randint(0, _BEFORE)]
        name, ride = self._start_with(early)
        for row in rows[len(early) :]:
            ride.sent.append(samples_of([row]))
            self._send(name, row, ride.answered)
            ride.acknowledged.append(ride.sent[-1])
            if self._chance.random() < 0.05:
                time.sleep(self._chance.uniform(0, self._pause))
        self._complete_stream(ride)
        return ride

    def _shuffled(self, rows: list[Row]) -> list[Row]:
        again = [row for row in rows if self._chance.random() < 0.1]
        return self._chance.sample([*rows, *again], len(rows) + len(again))

    def _start_with(self, early: list[Row]) -> tuple[str, RideHistory]:
        """A start whose answer was lost is a ride that nobody rides: the next has another name."""
        name, answered = f"ride-{uuid4()}", dict[int, list[float]]()
        while (response := self._try_start(name, early, answered)) is None:
            name, answered = f"ride-{uuid4()}", {}
        workout_id = UUID(response.json()["workout"]["id"])
        ride = RideHistory(workout_id, self._rider.account.user_id, answered=answered)
        ride.sent = [samples_of([row]) for row in early]
        ride.acknowledged = list(ride.sent)
        self._history.rides.append(ride)
        return name, ride

    def _try_start(
        self, name: str, early: list[Row], answered: dict[int, list[float]]
    ) -> httpx2.Response | None:
        """The answer, if the ride is started for sure."""
        self._insist("/api/streams/create", {200}, lambda: _json(streamName=name))
        for row in early:
            self._send(name, row, answered)
        response = self._post("/api/workouts", _json(streamName=name, title="By stream"))
        if response is not None and response.status_code == 201:
            return response
        self._note_surprise("/api/workouts", response)
        return None

    def _send(self, name: str, row: Row, answered: dict[int, list[float]]) -> None:
        message = json.dumps(row) if self._chance.random() < 0.3 else row
        path = f"/api/streams/{name}/messages"
        self._insist(path, {200}, lambda: _json(message=message, author="chaos"))
        answered.setdefault(row["timestamp"], []).append(time.monotonic())

    def _complete_stream(self, ride: RideHistory) -> None:
        """That it had effect shows in the workout, if the answer says that it is not active."""
        path = f"/api/workouts/{ride.workout_id}/complete"
        self._insist(path, {200, _NOT_ACTIVE}, lambda: _json(archiveTelemetry=True))
        ride.completed = True


def _json(**members: Any) -> dict[str, Any]:
    return {"json": members}
