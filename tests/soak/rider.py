"""A rider of a soak: rides in real time, one ride after another, and looks at them meanwhile.

The device behaves as devices are told to. It keeps each batch until a receipt of the epoch in which
it was acknowledged says that it is durable, sends all that it keeps again when the epoch is another
one, and asks another address of the service where one does not answer.
"""

import asyncio
import random
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final
from uuid import UUID, uuid4

import httpx2
import msgspec
import numpy as np
import websockets

from ops.simulation.riders import SimulatedRider
from shared.samples.columns import Samples, concatenate
from tests.faults.devices import samples_of
from tests.faults.history import History, RideHistory
from tests.faults.recordings import columns_of

_UNSURE: Final = frozenset((408, 425, 429, 503))  # after which devices are told to send again
_TIMEOUT: Final = 30.0  # seconds, as of the client among the examples
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # made once: it takes a while
_LONGEST_PAUSE: Final = 8.0  # seconds before a request is sent again
# What the pages of a rider ask for: lists and totals, records, a ride with its curve and its chart.
_LOOKS: Final = (
    "/api/workouts?limit=20",
    "/api/records",
    "/api/workouts/{}",
    "/api/workouts/{}/power-curve",
    "/api/workouts/{}/chart?channels=power,heartrate&points=500",
)


@dataclass(frozen=True)
class Pace:
    """Seconds: each a shortest and a longest, of which any is drawn.

    ``lateness``: of a rider's first start, and of the last requests once the time is over.
    """

    ride: tuple[float, float] = (600, 1500)
    upload: tuple[float, float] = (20, 30)
    receipt: tuple[float, float] = (50, 70)
    look: tuple[float, float] = (60, 120)
    message: tuple[float, float] = (1, 1)  # of who sends by WebSocket
    lateness: tuple[float, float] = (0, 30)


@dataclass(frozen=True)
class Who:
    """A rider with an account. ``is_live``: sends by WebSocket."""

    simulated: SimulatedRider
    user_id: str
    key: str
    is_live: bool


@dataclass(frozen=True)
class Timing:
    """A request that succeeded: what it was, when it was answered, and how many seconds it took."""

    what: str
    at: float
    seconds: float


@dataclass
class Log:
    """What all riders of a process have done, beside their history."""

    history: History = field(default_factory=History)
    timings: list[Timing] = field(default_factory=list)
    samples: int = 0  # acknowledged for the first time
    again: int = 0  # samples that were sent again, for another epoch
    completed: int = 0  # rides that are over, and durable

    def note(self, what: str, begun: float) -> None:
        """A request that has just succeeded."""
        now = time.time()
        self.timings.append(Timing(what, now, max(now - begun, 0)))


class Service:
    """The addresses of a service: who gets no answer from one asks the next."""

    def __init__(self, urls: Sequence[str], who: Who, log: Log) -> None:
        self._urls, self._log, self._client = urls, log, open_client()
        self._headers = {"X-API-Key": who.key}
        self._turn = who.simulated.number
        self._socket: Any = None

    async def insist(
        self, what: str, method: str, path: str, wanted: tuple[int, ...], document: Any = None
    ) -> Any:
        """The document of the answer that is wanted, however long that takes."""
        begun = time.time()
        body = None if document is None else msgspec.json.encode(document)
        tries = 0
        while (answer := await self.ask(what, method, path, body)) is None or (
            answer.status_code not in wanted
        ):
            tries += 1
            await asyncio.sleep(pause_before(tries))
        self._log.note(f"{what}, until acknowledged", begun)
        return msgspec.json.decode(answer.content)

    async def ask(
        self, what: str, method: str, path: str, body: bytes | None = None
    ) -> httpx2.Response | None:
        """The answer, if there is one; whoever has not succeeded asks elsewhere the next time."""
        begun, url = time.time(), self._urls[self._turn % len(self._urls)] + path
        headers = {**self._headers, "Content-Type": "application/json"}
        try:
            answer = await self._client.request(method, url, content=body, headers=headers)
        except httpx2.TransportError as error:
            self._note_failure(type(error).__name__)
            return None
        if answer.is_success:
            self._log.history.note_answer(str(answer.status_code))
            self._log.note(what, begun)
            return answer
        self._note_failure(str(answer.status_code))
        if answer.status_code not in _UNSURE:
            said = f"{method} {path}: {answer.status_code} {answer.text[:300]}"
            self._log.history.surprises.append(said)
        return answer

    def _note_failure(self, how: str) -> None:
        self._log.history.note_answer(how)
        self._turn += 1

    async def insist_live(self, path: str, document: Any) -> Any:
        """The answer to a message of a WebSocket, which is opened as often as it takes."""
        begun, message, tries = time.time(), msgspec.json.encode(document).decode(), 0
        while (answer := await self._say(path, message)) is None:
            tries += 1
            await asyncio.sleep(pause_before(tries))
        self._log.note("message, until acknowledged", begun)
        return answer

    async def _say(self, path: str, message: str) -> Any:
        begun = time.time()
        try:
            async with asyncio.timeout(_TIMEOUT):
                if self._socket is None:
                    url = self._urls[self._turn % len(self._urls)].replace("http", "ws", 1)
                    self._socket = await websockets.connect(
                        url + path, additional_headers=self._headers
                    )
                await self._socket.send(message)
                answer = msgspec.json.decode(await self._socket.recv())
        except (OSError, websockets.WebSocketException, TimeoutError) as error:
            self._note_failure(f"WebSocket: {type(error).__name__}")
            await self.hang_up()
            return None
        if "accepted" in answer:
            self._log.history.note_answer("message")
            self._log.note("message", begun)
            return answer
        self._note_failure(f"message: {answer.get('status')}")
        if answer.get("status") not in _UNSURE:
            self._log.history.surprises.append(f"{path}: {str(answer)[:300]}")
        return None

    async def close(self) -> None:
        """End all connections."""
        await self.hang_up()
        await self._client.aclose()

    async def hang_up(self) -> None:
        """Close the WebSocket, if one is open."""
        socket, self._socket = self._socket, None
        if socket is not None:
            with suppress(OSError, websockets.WebSocketException):
                await socket.close()


@dataclass
class Ride:
    """One under way. ``kept``: what was acknowledged in this epoch and is not known to be durable.

    ``again``: what was acknowledged in another one, and has to be sent again.
    """

    history: RideHistory
    planned: Samples
    sent: int = 0
    kept: list[Samples] = field(default_factory=list)
    again: list[Samples] = field(default_factory=list)
    epoch: str = ""

    @property
    def path(self) -> str:
        return f"/api/workouts/{self.history.workout_id}"

    @property
    def is_safe(self) -> bool:
        return not (self.kept or self.again)

    def take_due(self, now: float) -> Samples | None:
        """What was recorded since the last time, if anything was."""
        due = int(np.searchsorted(self.planned.timestamps, now * 1000, side="right"))
        if due <= self.sent:
            return None
        batch = self.planned.select(slice(self.sent, due))
        self.sent = due
        return batch

    def note_epoch(self, epoch: str) -> bool:
        """Whether it is the one in which all that is kept was acknowledged; else send it again."""
        if self.epoch in ("", epoch):
            self.epoch = epoch
            return True
        self.again += self.kept
        self.kept, self.epoch = [], epoch
        return False

    def forget(self, receipt: Any) -> None:
        """Keep no longer what is durable, unless another epoch tells that some may be lost."""
        if receipt["epoch"] and self.note_epoch(receipt["epoch"]):
            durable = receipt["durableThrough"] or 0
            self.kept = [each for each in self.kept if each.timestamps[-1] > durable]


class Rider:
    """Rides one ride after the other until it is told to stop; the last one is finished."""

    def __init__(self, who: Who, addresses: Sequence[str], log: Log, pace: Pace, seed: int) -> None:
        self._who, self._log, self._pace = who, log, pace
        self._service = Service(addresses, who, log)
        self._chance = random.Random(f"{seed} {who.user_id}")
        self._rides = 0
        self._seen = ""  # the last ride that is over

    async def ride_until(self, stop: asyncio.Event) -> None:
        """The first ride is any part of one, so that not all riders complete at the same time."""
        await _wait(stop, self._draw(self._pace.lateness))
        part = self._chance.uniform(0.2, 1)
        while not stop.is_set():
            ride = await self._start(max(int(part * self._draw(self._pace.ride)), 2))
            part = 1
            looking = asyncio.create_task(self._look(ride))
            try:
                await self._ride(ride, stop)
            finally:
                looking.cancel()
                await self._service.hang_up()

    async def close(self) -> None:
        await self._service.close()

    async def _start(self, seconds: int) -> Ride:
        self._rides += 1
        simulated = replace(self._who.simulated, seed=self._chance.randrange(1 << 30))
        planned = samples_of(simulated.ride(seconds, int(time.time() * 1000)))
        history = RideHistory(UUID(bytes=uuid4().bytes), self._who.user_id)
        ride = Ride(history, planned)
        self._log.history.rides.append(history)
        document = {"title": f"Ride {self._rides}"}
        await self._service.insist("start", "PUT", ride.path, (200, 201), document)
        return ride

    async def _ride(self, ride: Ride, stop: asyncio.Event) -> None:
        every = self._pace.message if self._who.is_live else self._pace.upload
        receipt_at = time.time() + self._draw(self._pace.receipt)
        while ride.sent < len(ride.planned) and not stop.is_set():
            await _wait(stop, self._draw(every))
            await self._send_due(ride)
            if time.time() > receipt_at:
                await self._forget(ride)
                receipt_at = time.time() + self._draw(self._pace.receipt)
        if stop.is_set():
            await asyncio.sleep(self._draw(self._pace.lateness))
        await self._finish(ride)

    async def _finish(self, ride: Ride) -> None:
        """Complete it; it is over once all of it is durable."""
        await self._send_due(ride)
        answer = await self._service.insist("complete", "POST", f"{ride.path}/complete", (200, 202))
        ride.history.completed = True
        if answer["epoch"]:
            ride.note_epoch(answer["epoch"])
        while not ride.is_safe:
            await asyncio.sleep(self._draw((1, 3)))
            await self._send_again(ride)
            await self._forget(ride)
        self._log.completed += 1
        self._seen = ride.path

    async def _send_due(self, ride: Ride) -> None:
        if (batch := ride.take_due(time.time())) is not None:
            ride.history.sent.append(batch)
            await self._send(ride, batch, is_live=self._who.is_live)
            ride.history.acknowledged.append(batch)
            self._log.samples += len(batch)
        await self._send_again(ride)

    async def _send_again(self, ride: Ride) -> None:
        """All of it in one batch; if the epoch is another one meanwhile, once more."""
        while ride.again:
            batch, ride.again = concatenate(ride.again), []
            self._log.again += len(batch)
            await self._send(ride, batch, is_live=False)

    async def _send(self, ride: Ride, batch: Samples, *, is_live: bool) -> None:
        path, document = f"{ride.path}/telemetry", columns_of(batch)
        if is_live:
            answer = await self._service.insist_live(path, document)
        else:
            answer = await self._service.insist("upload", "POST", path, (202,), document)
        if answer["accepted"] != len(batch):
            self._log.history.surprises.append(f"{answer} for {len(batch)} samples")
        ride.note_epoch(answer["epoch"])
        ride.kept.append(batch)

    async def _forget(self, ride: Ride) -> None:
        answer = await self._service.ask("receipt", "GET", f"{ride.path}/receipt")
        if answer is not None and answer.is_success:
            ride.forget(msgspec.json.decode(answer.content))

    async def _look(self, ride: Ride) -> None:
        """At the ride under way, or the one before, as the pages do."""
        while True:
            await asyncio.sleep(self._draw(self._pace.look))
            path = self._chance.choice(_LOOKS).format((self._seen or ride.path).rsplit("/")[-1])
            await self._service.ask("read", "GET", path)

    def _draw(self, span: tuple[float, float]) -> float:
        return self._chance.uniform(*span)


def pause_before(tries: int) -> float:
    """Seconds, at random: those who failed together do not come back together."""
    return random.uniform(0.2, min(2.0**tries, _LONGEST_PAUSE))


def open_client() -> httpx2.AsyncClient:
    """One rider's, as all riders' connections in one pool would be gone through for each request.

    It lets go of a connection that rests before the service does.
    """
    limits = httpx2.Limits(keepalive_expiry=2)
    return httpx2.AsyncClient(timeout=_TIMEOUT, limits=limits, verify=_NO_TLS, trust_env=False)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    """So long, or until told to stop."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
