"""Devices that ride and upload without end, and send again until they are told it is stored."""

import gzip
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from uuid import UUID

import httpx2
import numpy as np

from shared.samples.channels import CHANNEL_NAMES
from shared.samples.columns import Samples
from tests.conftest import Rider
from tests.faults.history import History, RideHistory
from tests.faults.recordings import columns_of
from tests.worker.readings import T0

Row = dict[str, Any]

_RIDE_APART: Final = 86_400_000  # ms between the beginnings of a rider's rides
_UNAVAILABLE: Final = 503


class GaveUp(Exception):
    """The service did not take it for too long."""


class Device:
    """The head unit of one rider.

    ``pause``: the longest between two uploads, in seconds; ``patience``: how long to go on
    sending the same.
    """

    def __init__(
        self,
        rider: Rider,
        history: History,
        chance: random.Random,
        pause: float = 0,
        patience: float = 120,
    ) -> None:
        self._rider = rider
        self._history = history
        self._chance = chance
        self._pause = pause
        self._patience = patience
        self._rides = 0

    def ride_until(self, stop: threading.Event) -> None:
        """One ride after the other, at least one; the one under way is finished."""
        is_first = True
        while is_first or not stop.is_set():
            is_first = False
            try:
                self.ride()
            except GaveUp as error:
                self._history.surprises.append(f"gave up: {error}")

    def ride(self) -> RideHistory:
        """Start, upload in any order and form, complete amid uploads, upload what is late."""
        ride = self._start()
        batches = self._disorder(plan(self._next_start(), self._chance))
        last = max(len(batches) - self._chance.randint(0, 3), 1)
        for batch in batches[: last - 1]:
            self._upload(ride, batch)
            time.sleep(self._chance.uniform(0, self._pause))
        _at_once(lambda: self._upload(ride, batches[last - 1]), lambda: self._complete(ride))
        for batch in batches[last:]:
            self._upload(ride, batch)
        return ride

    def _next_start(self) -> int:
        """When the next ride begins."""
        self._rides += 1
        return T0 + self._rides * _RIDE_APART

    def _disorder(self, rows: list[Row]) -> list[list[Row]]:
        """Batches of many sizes: some twice, some in two halves, all of them shuffled."""
        batches = []
        while rows:
            size = self._chance.choice((1, 5, 20, 60, 120))
            batch, rows = rows[:size], rows[size:]
            if self._chance.random() < 0.2:
                batches.append(batch)
            if self._chance.random() < 0.2:
                batch = self._chance.sample(batch, len(batch))
            halves = self._chance.random() < 0.2
            batches += [_only(batch, "power"), _only(batch, "heartrate")] if halves else []
            batches.append(batch)
        self._chance.shuffle(batches)
        return batches

    def _start(self) -> RideHistory:
        """A start whose answer was lost is a ride that nobody rides."""
        response = self._insist("/api/workouts", {201}, lambda: {"json": {}})
        workout_id = UUID(response.json()["workout"]["id"])
        ride = RideHistory(workout_id, self._rider.account.user_id)
        self._history.rides.append(ride)
        return ride

    def _upload(self, ride: RideHistory, rows: list[Row]) -> None:
        samples = samples_of(rows)
        ride.sent.append(samples)
        path = f"/api/workouts/{ride.workout_id}/telemetry"
        response = self._insist(path, {202}, lambda: encode(rows, self._chance))
        ride.acknowledged.append(samples)
        ride.epochs.add(response.json()["epoch"])
        if response.json()["accepted"] != len(rows):
            self._history.surprises.append(f"{response.text} for {len(rows)} samples")

    def _complete(self, ride: RideHistory) -> None:
        wait = {"Prefer": f"wait={self._chance.choice((0, 0, 2))}"}
        path = f"/api/workouts/{ride.workout_id}/complete"
        self._insist(path, {200, 202}, lambda: {"headers": wait})
        ride.completed = True

    def _insist(
        self, path: str, wanted: set[int], request: Callable[[], dict[str, Any]]
    ) -> httpx2.Response:
        """Post until the answer is a wanted one; any but a 503 is noted as a surprise."""
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            response = self._post(path, request())
            if response is not None and response.status_code in wanted:
                return response
            self._note_surprise(path, response)
            time.sleep(self._chance.uniform(0.1, 0.5))
        raise GaveUp(path)

    def _note_surprise(self, path: str, response: httpx2.Response | None) -> None:
        """No answer, and one that the service is not available, are none."""
        if response is not None and response.status_code != _UNAVAILABLE:
            self._history.surprises.append(f"{path}: {response.status_code} {response.text}")

    def _post(self, path: str, request: dict[str, Any]) -> httpx2.Response | None:
        """The answer; None if there was none, and nobody knows what became of the request."""
        try:
            response = self._rider.client.post(path, **request)
        except httpx2.TransportError as error:
            self._history.note_answer(type(error).__name__)
            return None
        self._history.note_answer(str(response.status_code))
        return response


class HeedingDevice(Device):
    """One that keeps what is not durable, and sends it again where the epoch tells of a loss."""

    def ride(self) -> RideHistory:
        """As others do; it ends once all is durable in one epoch."""
        ride = super().ride()
        deadline = time.monotonic() + self._patience
        while not self._is_safe(ride):
            if time.monotonic() > deadline:
                raise GaveUp(f"{ride.workout_id} is not durable")
            time.sleep(0.3)
        return ride

    def _is_safe(self, ride: RideHistory) -> bool:
        receipt = self._receipt_of(ride)
        if receipt is None:
            return False
        if ride.epochs != {receipt["epoch"]}:
            ride.epochs.clear()
            for samples in ride.sent[: len(ride.sent)]:
                self._send_again(ride, samples)
            return False
        last = max(int(samples.timestamps[-1]) for samples in ride.sent)
        return bool((receipt["durableThrough"] or 0) >= last)

    def _receipt_of(self, ride: RideHistory) -> Any:
        try:
            answer = self._rider.client.get(f"/api/workouts/{ride.workout_id}/receipt")
        except httpx2.TransportError:
            return None
        return answer.json() if answer.is_success else None

    def _send_again(self, ride: RideHistory, samples: Samples) -> None:
        path = f"/api/workouts/{ride.workout_id}/telemetry"
        response = self._insist(path, {202}, lambda: {"json": columns_of(samples)})
        ride.epochs.add(response.json()["epoch"])


def plan(start: int, chance: random.Random) -> list[Row]:
    """A ride's readings at about 1 Hz, with drop-outs and a pause. Each is measured once."""
    rows: list[Row] = []
    power, now = 200, start
    for _ in range(chance.randint(30, 600)):
        now += chance.choice((250, 1000, 1000, 1000, 1000, 1000, 2000))
        now += 60_000 if chance.random() < 0.003 else 0
        power = min(max(power + chance.randint(-30, 30), 0), 900)
        row: Row = {"timestamp": now, "power": power, "heartrate": 80 + power // 8}
        row |= {"speed": round(power / 37, 3), "cadence": 90 if power else 0}
        if chance.random() < 0.05:
            del row[chance.choice(("power", "heartrate", "speed"))]
        rows.append(row)
    return rows


def samples_of(rows: Sequence[Row]) -> Samples:
    """Rows as the service should understand them."""
    names = [name for name in CHANNEL_NAMES if any(name in row for row in rows)]
    return Samples(
        np.array([row["timestamp"] for row in rows], np.int64),
        {name: np.array([row.get(name, np.nan) for row in rows], float) for name in names},
    )


def encode(rows: list[Row], chance: random.Random) -> dict[str, Any]:
    """The arguments of a request with these rows, in one of the forms there are."""
    names = {name: None for row in rows for name in row}
    documents: tuple[Any, ...] = (
        rows,
        {"samples": rows},
        {name: [row.get(name) for row in rows] for name in names},
    )
    body = json.dumps(chance.choice(documents))
    headers = {"Content-Type": "application/json"}
    if chance.random() < 0.25:
        body = "\n".join(map(json.dumps, rows))
        headers = {"Content-Type": "application/x-ndjson"}
    content = body.encode()
    if chance.random() < 0.3:
        content = gzip.compress(content)
        headers["Content-Encoding"] = "gzip"
    return {"content": content, "headers": headers}


def _only(rows: Sequence[Row], channel: str) -> list[Row]:
    return [{name: row[name] for name in ("timestamp", channel) if name in row} for row in rows]


def _at_once(*actions: Callable[[], None]) -> None:
    with ThreadPoolExecutor(len(actions)) as threads:
        for done in [threads.submit(action) for action in actions]:
            done.result()
