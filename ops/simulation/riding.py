"""One rider from the start to the figures: sends what is due, and keeps it until it is stored."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from ops.demo.requests import RideRefused
from ops.live.events import NothingToWatch
from ops.live.ride import WatchedRide
from ops.simulation.contracts import Contract, count_held
from ops.simulation.requests import Requests, Traffic
from ops.simulation.riders import Sample, SimulatedRider

_EVERY: Final = 1.0  # seconds between two looks at what is due


class Stage(Enum):
    """How far a ride is."""

    STARTING = "starting"
    RIDING = "riding"
    FINISHING = "finishing"
    COMPLETE = "complete"
    REFUSED = "refused"


@dataclass(frozen=True)
class Clock:
    """The riders' time, which runs ``speed`` times as fast as ours."""

    speed: float
    begin: float = field(default_factory=time.monotonic)
    now: Callable[[], float] = time.monotonic

    def seconds(self) -> float:
        """Ridden by now."""
        return (self.now() - self.begin) * self.speed


@dataclass
class Riding:
    """``sent``: samples that were acknowledged; ``stored``: those in the finished workout."""

    rider: SimulatedRider
    samples: Sequence[Sample]
    contract: Contract
    requests: Requests
    traffic: Traffic
    stage: Stage = Stage.STARTING
    workout_id: str = ""
    sent: int = 0
    stored: int = 0
    refusal: str = ""
    watched: WatchedRide = field(default_factory=WatchedRide)
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def ride(self, clock: Clock, stop: asyncio.Event) -> None:
        """Until every sample is sent and stored; earlier, once told to ``stop``."""
        try:
            self.workout_id = await self.contract.start()
            self.stage = Stage.RIDING
            self.started.set()
            await self._send_as_ridden(clock, stop)
            self.stage = Stage.FINISHING
            await self._send_what_was_lost()
            workout = await self.contract.complete()
        except RideRefused as error:
            self.stage, self.refusal = Stage.REFUSED, str(error)
        else:
            self.stored = workout["summary"]["sampleCount"]
            self.stage = Stage.COMPLETE

    async def watch(self) -> None:
        """Follow the ride as its viewers do, as far as it may be watched."""
        await self.started.wait()
        with suppress(NothingToWatch):
            async for event in self.requests.follow(f"/api/workouts/{self.workout_id}/live"):
                self.watched.note(event)

    async def _send_as_ridden(self, clock: Clock, stop: asyncio.Event) -> None:
        while self.sent < len(self.samples) and not stop.is_set():
            looked_at = time.monotonic()
            for batch in self._batches(self.sent, self.due(clock)):
                await self.contract.send(batch)
                self.sent += len(batch)
                self.traffic.samples += len(batch)
            await _wait(stop, looked_at + _EVERY - time.monotonic())

    async def _send_what_was_lost(self) -> None:
        """A Redis that was killed may have lost what was acknowledged in the last second."""
        while await count_held(self.requests, self.workout_id) < self.sent:
            self.traffic.again += 1
            for batch in self._batches(0, self.sent):
                await self.contract.send(batch)

    def _batches(self, begin: int, end: int) -> Iterator[Sequence[Sample]]:
        most = self.contract.most_at_once
        for at in range(begin, end, most):
            yield self.samples[at : min(at + most, end)]

    def due(self, clock: Clock) -> int:
        """How many samples the device has recorded by now."""
        return min(int(clock.seconds()) + 1, len(self.samples))


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """So long, or until told to stop."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), max(seconds, 0))
