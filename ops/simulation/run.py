"""All riders under way at once, and the board that shows them."""

import asyncio
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

import httpx2
from rich.console import Console
from rich.live import Live

from ops.simulation.accounts import Keys
from ops.simulation.contracts import CONTRACTS, Words
from ops.simulation.requests import Requests, Traffic, open_client
from ops.simulation.riders import Sample, SimulatedRider
from ops.simulation.riding import Clock, Riding
from ops.simulation.table import SHOWN, Board, Result

_TICK: Final = 0.5  # seconds
_LINE_EVERY: Final = 5.0
Tick = Callable[[], None]


@dataclass(frozen=True)
class Wanted:
    """``speed``: how much faster than riders ride; ``by``: one of CONTRACTS."""

    riders: int
    minutes: float
    speed: float
    by: str
    seed: int
    url: str | None = None
    key: str | None = None

    @property
    def seconds(self) -> int:
        """Of each ride."""
        return max(round(self.minutes * 60), 1)


@dataclass(frozen=True)
class Service:
    """Where to ride, with a key a rider; ``tick`` is called again and again meanwhile."""

    url: str
    keys: Keys
    tick: Tick = lambda: None


def run(wanted: Wanted, riders: list[SimulatedRider], service: Service, console: Console) -> Result:
    """Ride until all is over. Ctrl-C ends the rides where they are, and a second one leaves them.

    Raises whatever else than a refusal went wrong.
    """
    return asyncio.run(_Simulation(wanted, riders, service, console).run())


class _Simulation:
    """Everybody's rides at once, in one process."""

    def __init__(
        self, wanted: Wanted, riders: list[SimulatedRider], service: Service, console: Console
    ) -> None:
        self._wanted, self._service, self._console = wanted, service, console
        self._riders = riders
        self._run_id = secrets.token_hex(3)
        self._traffic = Traffic()
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> Result:
        """Ride until all is over, or twice interrupted."""
        async with open_client(self._service.url) as client:
            ridings = self._ridings(client)
            board = Board(ridings, self._traffic, Clock(self._wanted.speed))
            self._tasks = [
                asyncio.create_task(each.ride(board.clock, self._stop)) for each in ridings
            ]
            with _interruptible(self._interrupt):
                async with _watching(ridings[:SHOWN]):
                    await self._show(board)
            for done in await asyncio.gather(*self._tasks, return_exceptions=True):
                if isinstance(done, Exception):
                    raise done
        return Result(ridings)

    def _ridings(self, client: httpx2.AsyncClient) -> list[Riding]:
        """Rides that end now if all goes well: none has a sample of tomorrow."""
        seconds, speed = self._wanted.seconds, self._wanted.speed
        start = int((time.time() + seconds / speed - seconds) * 1000)
        return [
            self._riding(Requests(client, self._traffic, key), rider, rider.ride(seconds, start))
            for rider, key in zip(self._riders, self._service.keys, strict=True)
        ]

    def _riding(
        self, requests: Requests, rider: SimulatedRider, samples: Sequence[Sample]
    ) -> Riding:
        stream = f"{rider.name}-{self._run_id}"
        words = Words(f"Simulated {stream}", rider.profile.sport, stream)
        contract = CONTRACTS[self._wanted.by](requests, words)
        return Riding(rider, samples, contract, requests, self._traffic)

    def _interrupt(self) -> None:
        """The first time rides are ended where they are; the second time they are left."""
        if self._stop.is_set():
            for task in self._tasks:
                task.cancel()
            return
        self._console.print("Completing the rides; Ctrl-C again leaves them as they are.")
        self._stop.set()

    async def _show(self, board: Board) -> None:
        """The board, anew now and then, until every ride is over."""
        board.look()
        show = _live if self._console.is_terminal else _lines
        with show(self._console, board) as refresh:
            while not all(task.done() for task in self._tasks):
                self._service.tick()
                board.look()
                refresh()
                await asyncio.wait(self._tasks, timeout=_TICK)


@contextmanager
def _live(console: Console, board: Board) -> Iterator[Tick]:
    with Live(board, console=console, auto_refresh=False) as live:
        yield live.refresh


@contextmanager
def _lines(console: Console, board: Board) -> Iterator[Tick]:
    said_at = time.monotonic() - _LINE_EVERY

    def refresh() -> None:
        nonlocal said_at
        if time.monotonic() >= said_at + _LINE_EVERY:
            said_at = time.monotonic()
            console.print(board.line(), soft_wrap=True, markup=False)

    yield refresh


@contextmanager
def _interruptible(interrupt: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for how in signals:
        loop.add_signal_handler(how, interrupt)
    try:
        yield
    finally:
        for how in signals:
            loop.remove_signal_handler(how)


@asynccontextmanager
async def _watching(ridings: Sequence[Riding]) -> AsyncIterator[None]:
    """Follow these rides by their live views: what is shown is what viewers see."""
    tasks = [asyncio.create_task(each.watch()) for each in ridings]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
