"""Uploads by WebSocket, of 1 and 60 samples a message, beside an application that only answers."""

import socket
from collections.abc import Iterator
from functools import partial
from itertools import cycle
from typing import Final

import msgspec

from bench.figures import Figure, Run, Target, least, series
from bench.load import CONNECTIONS, WebSocketExchange, load, text_frame, websocket_handshake
from bench.meters import cpu_of, spent
from bench.rides import EIGHT, an_hour, of_channels
from bench.system import Options, Served, System
from bench.uploads import start_rides

_VARIANTS: Final = 4  # of messages a ride
_TARGETS: Final[dict[int, Target]] = {1: least(0.37, "limit"), 60: least(0.19, "limit")}
_UNITS: Final = {"messages": "/s", "API CPU a message": "µs", "p99": "ms"}


def measure(system: System, options: Options) -> Iterator[Figure]:
    """One API process with a WebSocket for each ride, in turns with its limit."""
    with system.serving("bench.bare") as bare, system.serving("api") as api:
        rides = start_rides(system, api.url, CONNECTIONS)
        for size, target in _TARGETS.items():
            _run(system, api, rides, size, options.seconds / 6)  # what is cached, now is
            ours, limit = list[Run](), list[Run]()
            for _ in range(options.runs):
                system.redis.flushdb()
                ours.append(_run(system, api, rides, size, options.seconds))
                limit.append(_run(system, bare, rides, size, options.seconds))
            for name, unit in _UNITS.items():
                title = f"{name}, batches of {size}"
                runs, others = series(ours, name), series(limit, name)
                bound = target if name == "messages" else None
                yield Figure(title, unit, runs, "bare ASGI", others, target=bound)


def _run(system: System, server: Served, rides: list[str], size: int, seconds: float) -> Run:
    paths = cycle(f"/api/workouts/{ride}/telemetry" for ride in rides)
    headers = {"X-API-Key": system.account.api_key}

    def connect(connected: socket.socket) -> WebSocketExchange:
        return WebSocketExchange(connected, websocket_handshake(next(paths), headers))

    rows = of_channels(an_hour()[: _VARIANTS * size], EIGHT)
    batches = [rows[at : at + size] for at in range(0, len(rows), size)]
    frames = [text_frame(msgspec.json.encode({"samples": batch})) for batch in batches]
    work = partial(load, server.address, frames, seconds, exchange=connect)
    outcome, (cpu,) = spent(work, cpu_of(server.process))
    answers = len(outcome.latencies)
    return {
        "messages": outcome.rate,
        "API CPU a message": cpu / answers * 1e6,
        "p99": outcome.percentile(0.99),
    }
