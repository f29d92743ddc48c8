"""The two ways in which a ride reaches the service: our own API, and that of existing clients.

Each step may be repeated: whether a request took effect is looked up where its answer was lost.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol

from ops.demo.requests import RideRefused
from ops.simulation.requests import Requests
from ops.simulation.riders import Sample

_POLL: Final = 0.5  # seconds
_OVER: Final = ("COMPLETED", "ARCHIVED")
Workout = dict[str, Any]


@dataclass(frozen=True)
class Words:
    """What a ride is called. ``stream``: the name by which existing clients know it."""

    title: str
    sport: str
    stream: str


class Contract(Protocol):
    """How to start, send and complete one ride. Each raises RideRefused."""

    most_at_once: int  # samples of a request

    async def start(self) -> str:
        """The id of the workout."""

    async def send(self, samples: Sequence[Sample]) -> None:
        """Return once the service has them."""

    async def complete(self) -> Workout:
        """The workout with its figures."""


class Batches:
    """Our own: what has come since the last request goes in one."""

    most_at_once = 1000

    def __init__(self, requests: Requests, words: Words) -> None:
        self._requests, self._words = requests, words
        self._id = ""

    async def start(self) -> str:
        """Started, unless an attempt without an answer has done so."""
        members = {"title": self._words.title, "sport": self._words.sport}
        while not (found := await self._find()):
            await self._requests.ask_once("POST", "/api/workouts", json=members)
        self._id = found
        return self._id

    async def _find(self) -> str:
        query = {"status": "ACTIVE", "limit": "100"}
        answer = await self._requests.ask("GET", "/api/workouts", params=query)
        titled = [each for each in answer.json()["workouts"] if each["title"] == self._words.title]
        return str(titled[0]["id"]) if titled else ""

    async def send(self, samples: Sequence[Sample]) -> None:
        """A batch counts once, however often it is sent."""
        path = f"/api/workouts/{self._id}/telemetry"
        await self._requests.ask("POST", path, json={"samples": list(samples)})

    async def complete(self) -> Workout:
        """Completing again is the same answer, one effect."""
        path, wait = f"/api/workouts/{self._id}/complete", {"Prefer": "wait=10"}
        while True:
            answer = await self._requests.ask("POST", path, headers=wait)
            if answer.status_code == HTTPStatus.OK:
                workout: Workout = answer.json()["workout"]
                return workout


class Streams:
    """That of existing clients: each sample is a message in the stream of the ride."""

    most_at_once = 1

    def __init__(self, requests: Requests, words: Words) -> None:
        self._requests, self._words = requests, words
        self._path = f"/api/streams/{words.stream}"
        self._id = ""

    async def start(self) -> str:
        """The stream first, then the workout that it is of."""
        named = {"streamName": self._words.stream}
        await self._requests.ask("POST", "/api/streams/create", json=named)
        members = {**named, "title": self._words.title, "sport": self._words.sport}
        try:
            while not (found := await self._find()):
                await self._requests.ask_once("POST", "/api/workouts", json=members)
        except RideRefused:  # nobody would ever send to the stream
            await self._requests.ask("DELETE", self._path, expect=(HTTPStatus.NOT_FOUND,))
            raise
        self._id = found
        return self._id

    async def _find(self) -> str:
        path = f"/api/workouts/by-stream/{self._words.stream}"
        answer = await self._requests.ask("GET", path, expect=(HTTPStatus.NOT_FOUND,))
        return str(answer.json()["id"]) if answer.is_success else ""

    async def send(self, samples: Sequence[Sample]) -> None:
        """A message sent twice is two messages, but one sample: it has a time of its own."""
        for sample in samples:
            message = {"message": json.dumps(sample), "author": self._words.title[:64]}
            await self._requests.ask("POST", f"{self._path}/messages", json=message)

    async def complete(self) -> Workout:
        """The second time it is a 400, which says that the first has taken effect."""
        path = f"/api/workouts/{self._id}"
        once = (HTTPStatus.BAD_REQUEST,)
        await self._requests.ask("POST", f"{path}/complete", json={}, expect=once)
        while True:
            answer = (await self._requests.ask("GET", path)).json()
            workout: Workout = answer.get("workout", answer)
            if workout["status"] in _OVER:
                return workout
            if workout["status"] != "PROCESSING":
                raise RideRefused(f"the ride is {workout['status']}, not COMPLETED")
            await asyncio.sleep(_POLL)


async def count_held(requests: Requests, workout_id: str) -> int:
    """How many samples the service holds of a ride."""
    answer = await requests.ask("GET", f"/api/workouts/{workout_id}/receipt")
    return int(answer.json()["sampleCount"])


CONTRACTS: Final[dict[str, Callable[[Requests, Words], Contract]]] = {
    "batches": Batches,
    "streams": Streams,
}
