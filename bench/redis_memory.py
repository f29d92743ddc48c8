"""What Redis keeps a sample in, and how many entries a second it can take."""

import socket
import time
from itertools import cycle
from typing import Any, Final
from urllib.parse import urlsplit

from bench.figures import Against, Figure, most
from bench.options import Options
from bench.peer import entries
from bench.rides import BATCH, EIGHT, THREE, an_hour, batches, of_channels, to_samples
from bench.system import System, cpu_seconds
from shared.connections import Redis, open_redis
from shared.redis_keys import BATCH_FIELD
from shared.settings import read_settings

SECTION: Final = "redis"
_PIPELINE: Final = 500  # entries
_STREAMS: Final = 64


def measure(system: System, options: Options) -> list[Figure]:
    """Bytes a sample, in batches; and the rate and cost of bare XADDs."""
    with open_redis(read_settings(system.environ)) as client:
        figures = [_memory(client, 60, THREE), *(_memory(client, n, EIGHT) for n in (1, 10, 60))]
        appended = [_append(system, options.seconds) for _ in range(options.runs)]
        rates, costs = zip(*appended, strict=True)
        client.flushdb()
    rate = Figure(
        section=SECTION, name="bare XADD of 60 samples", unit="/s", runs=list(rates), digits=0
    )
    cost = Figure(section=SECTION, name="Redis CPU a bare XADD", unit="µs", runs=list(costs))
    return [*figures, rate, cost]


def _memory(client: Redis, size: int, channels: tuple[str, ...]) -> Figure:
    """The packed batches themselves are the limit; the peer keeps each sample as JSON."""
    rows = of_channels(an_hour(), channels)
    packed = list(batches(to_samples(rows), size))
    ours = _bytes_of(client, [{BATCH_FIELD: entry} for entry in packed])
    return Figure(
        section=SECTION,
        name=f"memory a sample, {len(channels)} channels, batches of {size}",
        unit="B",
        runs=[ours / len(rows)],
        limit_runs=[sum(map(len, packed)) / len(rows)],
        limit="the packed batches",
        peer_runs=[_bytes_of(client, entries(rows)) / len(rows)],
        targets=[most(1 / 6, Against.PEER)] if size == BATCH else [],
    )


def _bytes_of(client: Redis, fields: list[Any]) -> float:
    client.delete("bench")
    with client.pipeline(transaction=False) as pipe:
        for each in fields:
            pipe.xadd("bench", each)
        pipe.execute()
    usage: Any = client.memory_usage("bench", samples=0)
    client.delete("bench")
    return float(usage)


def _append(system: System, seconds: float) -> tuple[float, float]:
    """Entries a second and µs of Redis CPU each: commands made beforehand, answers only counted."""
    commands = _commands()
    spent, begin, sent = cpu_seconds(system.redis), time.perf_counter(), 0
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(urlsplit(system.environ["REDIS_URL"]).path)
        while time.perf_counter() - begin < seconds:
            connection.sendall(commands)
            _await_answers(connection, _PIPELINE)
            sent += _PIPELINE
    taken = time.perf_counter() - begin
    return sent / taken, (cpu_seconds(system.redis) - spent) / sent * 1e6


def _commands() -> bytes:
    packed = list(batches(to_samples(of_channels(an_hour(), EIGHT))))
    return b"".join(
        _command(b"XADD", b"bench-%d" % (number % _STREAMS), b"*", BATCH_FIELD, batch)
        for number, batch in zip(range(_PIPELINE), cycle(packed), strict=False)
    )


def _command(*words: bytes) -> bytes:
    """As Redis reads it: the number of words, then each with its length."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(w), w) for w in words)


def _await_answers(connection: socket.socket, count: int) -> None:
    lines = 2 * count  # the length of an entry's id, and the id
    while lines:
        lines -= connection.recv(1 << 16).count(b"\n")
