"""Rides as their devices know them: what was sent, and what the API promised to keep."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import numpy as np

from shared.samples.columns import FloatArray, Samples, concatenate, merge
from tests.conftest import Rider
from tests.worker.readings import T0
from tests.worker.waiting import eventually


@dataclass
class Recording:
    """A ride under way. ``accepted``: every batch that was answered with 202, in that order."""

    rider: Rider
    workout_id: str
    accepted: list[Samples] = field(default_factory=list)

    def send(self, batch: Samples) -> httpx2.Response:
        """Upload once, and note the promise."""
        response = self.rider.upload(self.workout_id, columns_of(batch))
        if response.status_code == 202:
            self.accepted.append(batch)
        return response

    def upload(self, *batches: Samples) -> None:
        """Upload to a service that must accept."""
        for batch in batches:
            response = self.send(batch)
            assert response.status_code == 202, response.text

    def insist(self, batch: Samples) -> None:
        """Upload as a device does: again and again until the batch is accepted."""
        eventually(lambda: self._is_accepted(batch), within=60)

    def _is_accepted(self, batch: Samples) -> bool:
        try:
            response = self.send(batch)
        except httpx2.TransportError:
            return False
        if response.status_code != 202:
            assert response.status_code in (429, 503), response.text
            assert int(response.headers["retry-after"]) >= 1
            time.sleep(0.1)  # as Retry-After asks, but a test is in more of a hurry
        return response.status_code == 202

    def complete(self) -> httpx2.Response:
        """Ask for completion, without waiting for it."""
        return self.rider.client.post(f"/api/workouts/{self.workout_id}/complete")

    @property
    def kept(self) -> Samples:
        """The samples that the service has promised to keep, as they must be archived."""
        return merge(concatenate(self.accepted))

    @property
    def overwritten(self) -> int:
        """How many timestamps of a batch gave other values than the batches before it."""
        count, known = 0, dict[tuple[str, int], float]()
        for batch in self.accepted:
            replaced = set()
            for name, column in batch.channels.items():
                for time_, value in zip(batch.timestamps.tolist(), column.tolist(), strict=True):
                    if value == value and known.setdefault((name, time_), value) != value:
                        replaced.add(time_)
                        known[name, time_] = value
            count += len(replaced)
        return count


def record(rider: Rider, *batches: Samples) -> Recording:
    """A ride just begun, with these batches accepted."""
    recording = Recording(rider, rider.start())
    recording.upload(*batches)
    return recording


def readings(seconds: float, begin: float = 0, *, hertz: int = 1, effort: float = 1) -> Samples:
    """Part of a ride on which everything changes; the same seconds always read the same."""
    at = np.arange(round(begin * hertz), round((begin + seconds) * hertz))
    chance = np.random.default_rng(20_260_101).integers(0, 100, 400_000)[at]
    channels: dict[str, FloatArray] = {
        "power": np.round(effort * (200 + 80 * np.sin(at / (60 * hertz)) + chance)),
        "heartrate": np.where(chance < 3, np.nan, 120 + chance % 30).astype(np.float64),
        "speed": np.round(8 + chance / 100, 2),
    }
    return Samples(T0 + at * (1000 // hertz), channels)


def batches_of(samples: Samples, size: int) -> Iterator[Samples]:
    """The samples in uploads of ``size``."""
    for start in range(0, len(samples), size):
        yield samples.select(slice(start, start + size))


def columns_of(samples: Samples) -> dict[str, list[Any]]:
    """A batch as JSON."""
    values = {name: column.tolist() for name, column in samples.channels.items()}
    measured = {
        name: [None if value != value else value for value in column]  # NaN: not measured
        for name, column in values.items()
    }
    return {"timestamp": samples.timestamps.tolist(), **measured}
