"""`make watch` from its options to its exit code."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx2
from rich.console import Console
from rich.live import Live

from ops.live.events import Event, follow
from ops.live.ride import WatchedRide, figures_so_far, last_values

_USUAL_URL: Final = "http://127.0.0.1:8000"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Server:
    """Which API, and by which key, if it wants one."""

    url: str
    key: str | None

    async def events(self, path: str, report: Say) -> AsyncIterator[Event]:
        """Of a stream, to its end. Raises NothingToWatch."""
        headers = {"X-API-Key": self.key} if self.key else {}
        async with httpx2.AsyncClient(base_url=self.url) as client:
            async for event in follow(client, path, headers, report):
                yield event


def running_service(data_dir: Path) -> Server | None:
    """What `make run` of this checkout serves, if it does now."""
    try:
        known: dict[str, Any] = json.loads((data_dir / "run.json").read_text())
        is_there = httpx2.get(f"{known['url']}/health/ready", timeout=5).is_success
    except (OSError, httpx2.TransportError):
        return None
    return Server(known["url"], known["apiKey"]) if is_there else None


def server_of(url: str | None, key: str | None, data_dir: Path) -> Server:
    """What is said, else what `make run` serves, else what listens on the usual port."""
    running = None if url else running_service(data_dir)
    if running:
        return Server(running.url, key or running.key)
    return Server((url or _USUAL_URL).rstrip("/"), key)


def watch_ride(server: Server, workout_id: str) -> None:
    """Follow a ride until it is over, or Ctrl-C. Raises NothingToWatch."""
    console = Console(highlight=False)
    path = f"/api/workouts/{quote(workout_id, safe='')}/live"
    _until_interrupted(console, _show_ride(console, server.events(path, console.print)))


def watch_stream(server: Server, name: str) -> None:
    """Print the messages of a stream as they come, until it is deleted, or Ctrl-C."""
    console = Console(highlight=False)
    path = f"/api/streams/{quote(name, safe='')}/listen"
    _until_interrupted(console, _show_messages(console, server.events(path, console.print)))


def _until_interrupted(console: Console, watching: Coroutine[Any, Any, None]) -> None:
    """Ctrl-C is how one stops watching: no failure."""
    for how in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C
        signal.signal(how, signal.default_int_handler)
    try:
        asyncio.run(watching)
    except KeyboardInterrupt:
        console.print("Stopped watching.")


async def _show_ride(console: Console, events: AsyncIterator[Event]) -> None:
    ride = WatchedRide()
    with _view(console, ride) as refresh:
        async for event in events:
            if not ride.note(event) and not ride.through:
                console.print("Watching from now on, until the ride is over or Ctrl-C.")
            refresh(event)
    figures = figures_so_far(ride.summary)
    console.print(f"{ride.status}  {figures}" if ride.status else "The ride is over.")


@contextmanager
def _view(console: Console, ride: WatchedRide) -> Iterator[Callable[[Event], None]]:
    """In a terminal two lines that change, else a line an event."""
    if console.is_terminal:
        with Live(_Lines(ride), console=console, refresh_per_second=2, transient=True):
            yield lambda _: None
    else:
        yield lambda event: _print_event(console, ride, event)


@dataclass
class _Lines:
    """The last values, how far they are behind, and the figures so far."""

    ride: WatchedRide

    def __rich__(self) -> str:
        if not self.ride.through:
            return "waiting for samples …"
        return f"{_values_line(self.ride)}\n{figures_so_far(self.ride.summary)}"


def _print_event(console: Console, ride: WatchedRide, event: Event) -> None:
    match event.name:
        case "samples":
            console.print(_values_line(ride), soft_wrap=True)
        case "summary":
            console.print(f"so far: {figures_so_far(ride.summary)}", soft_wrap=True)


def _values_line(ride: WatchedRide) -> str:
    at = datetime.fromtimestamp(ride.through / 1000).astimezone()
    return f"{at:%H:%M:%S}  {last_values(ride)}  behind {ride.behind(time.time() * 1000):.1f} s"


async def _show_messages(console: Console, events: AsyncIterator[Event]) -> None:
    async for event in events:
        console.print(_message_line(event), soft_wrap=True, markup=False)


def _message_line(event: Event) -> str:
    """``12:31:05  rider  {"power": 210}``, or what became of the stream."""
    if event.name != "message":
        return f"{event.name}: {event.data.get('streamName', '')}"
    message = event.data["data"]
    at = datetime.fromtimestamp(int(message["timestamp"]) / 1000).astimezone()
    return "  ".join([f"{at:%H:%M:%S}", message.get("author", "–"), message["message"]])
