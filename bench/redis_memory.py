"""What Redis keeps a sample in, and what adding a batch costs it."""

from collections.abc import Iterator
from typing import Any, Final

from bench.figures import Figure, most
from bench.meters import spent
from bench.peer import entries
from bench.rides import BATCH, EIGHT, THREE, an_hour, batches, of_channels, to_samples
from bench.system import Options, System
from shared.redis_keys import BATCH_FIELD

_ADDED: Final = 10_000  # batches a run


def measure(system: System, options: Options) -> Iterator[Figure]:
    """Bytes a sample, in batches; and the cost of a bare XADD."""
    yield _memory(system, THREE, BATCH)
    for size in (1, 10, BATCH):
        yield _memory(system, EIGHT, size)
    hour = batches(to_samples(of_channels(an_hour(), EIGHT)))
    packed = [{BATCH_FIELD: hour[at % len(hour)]} for at in range(_ADDED)]
    costs = [_add(system, packed)[1] / _ADDED * 1e6 for _ in range(options.runs)]
    yield Figure("Redis CPU a bare XADD", "µs", costs)


def _memory(system: System, channels: tuple[str, ...], size: int) -> Figure:
    """The packed batches themselves are the limit; the peer keeps each sample as JSON."""
    rows = of_channels(an_hour(), channels)
    packed = batches(to_samples(rows), size)
    ours, _ = _add(system, [{BATCH_FIELD: entry} for entry in packed])
    peer, _ = _add(system, entries(rows))
    return Figure(
        f"memory a sample, {len(channels)} channels, batches of {size}",
        "B",
        [ours / len(rows)],
        "the packed batches",
        [sum(map(len, packed)) / len(rows)],
        [peer / len(rows)],
        most(1 / 6, "peer") if size == BATCH else None,
    )


def _add(system: System, fields: list[Any]) -> tuple[float, float]:
    """Bytes of a stream of these entries, and CPU seconds that adding them took."""
    system.redis.delete("bench")
    with system.redis.pipeline(transaction=False) as pipe:
        for each in fields:
            pipe.xadd("bench", each)
        _, (cpu,) = spent(pipe.execute, system.redis_cpu)
    usage: Any = system.redis.memory_usage("bench", samples=0)
    system.redis.delete("bench")
    return float(usage), cpu
