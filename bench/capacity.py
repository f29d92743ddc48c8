"""A million riders at once, from the measured cost of one: each line with its formula."""

import math
from collections.abc import Iterator

from msgspec import Struct

from bench.figures import Report


class Assumptions(Struct, frozen=True):
    """What is not measured."""

    riders: int = 1_000_000
    batch: int = 60  # samples an upload, for what depends on it
    checkpoint: int = 600  # seconds between two
    ride: int = 3600  # seconds
    hours_a_year: int = 200  # that a rider rides
    busy: float = 0.7  # part of a core that is planned for
    shard_gb: float = 24  # of Redis memory planned for in a node of 32 GB
    batches: tuple[int, ...] = (1, 10, 60)


def capacity(report: Report, given: Assumptions) -> Iterator[str]:
    """The lines of the page, in Markdown. Raises KeyError for a figure that was not measured."""
    yield "## A million riders at once"
    yield ""
    yield from _assumptions(given)
    yield from _uploads(report, given)
    yield from _redis(report, given)
    yield from _workers(report, given)
    yield from _postgresql(report, given)


def _assumptions(given: Assumptions) -> Iterator[str]:
    yield (
        f"Assumed: {given.riders:,} riders at 1 Hz, rides of {given.ride // 60} minutes, "
        f"a checkpoint every {given.checkpoint} s, cores planned for {given.busy:.0%} load, "
        f"{given.shard_gb:.0f} GB of samples a Redis node, "
        f"{given.hours_a_year} hours ridden a rider and year. Costs are those of the table."
    )
    yield ""


def _uploads(report: Report, given: Assumptions) -> Iterator[str]:
    """How many requests, and API processes for them."""
    yield "| samples an upload | requests/s | API CPU a request | API processes |"
    yield "|--:|--:|--:|--:|"
    for size in given.batches:
        cost = report.median(f"upload: API CPU a request, batches of {size}")
        rate = given.riders / size
        yield f"| {size} | {rate:,.0f} | {cost:.0f} µs | {_cores(rate * cost / 1e6, given)} |"
    yield ""
    yield "Samples/s = riders × 1 Hz; requests/s = samples/s ÷ samples an upload;"
    yield f"API processes = requests/s × CPU a request ÷ {given.busy}, one core each."
    yield ""


def _redis(report: Report, given: Assumptions) -> Iterator[str]:
    """Memory between checkpoints, commands, and the shards that either asks for."""
    yield "| samples an upload | memory | commands/s | Redis CPU | shards |"
    yield "|--:|--:|--:|--:|--:|"
    for size in given.batches:
        each = report.median(f"redis: memory a sample, 8 channels, batches of {size}")
        commands = report.median(f"upload: Redis commands a request, batches of {size}")
        cost = report.median(f"upload: Redis CPU a request, batches of {size}")
        rate = given.riders / size
        memory = given.riders * given.checkpoint * each / 1e9
        cores = rate * cost / 1e6
        shards = max(math.ceil(memory / given.shard_gb), _cores(cores, given))
        yield (
            f"| {size} | {memory:,.1f} GB | {rate * commands:,.0f} | {cores:.1f} cores | {shards} |"
        )
    yield ""
    yield f"Memory = riders × {given.checkpoint} s × 1 Hz × bytes a sample; commands/s = requests/s"
    yield "× commands a request; CPU = requests/s × Redis CPU a request; shards = the greater of"
    yield f"memory ÷ {given.shard_gb:.0f} GB and CPU ÷ {given.busy}: Redis has one core a node."
    yield ""


def _workers(report: Report, given: Assumptions) -> Iterator[str]:
    """Checkpoints and completions, and the processes for them."""
    yield "| fold | a second | worker CPU | workers | PostgreSQL CPU | cores | WAL |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for name, rate, prefix in _folds(given):
        worker = report.median(f"fold: {prefix}, worker CPU")
        server = report.median(f"fold: {prefix}, PostgreSQL CPU")
        wal = report.median(f"fold: {prefix}, WAL")
        workers, cores = (_cores(rate * each / 1e3, given) for each in (worker, server))
        yield (
            f"| {name} | {rate:,.0f} | {worker:.2f} ms | {workers} "
            f"| {server:.2f} ms | {cores} | {rate * wal / 1e6:.2f} GB/s |"
        )
    yield ""
    yield f"Checkpoints/s = riders ÷ {given.checkpoint} s; completions/s = riders ÷ {given.ride} s;"
    yield f"workers and cores = folds/s × CPU a fold ÷ {given.busy}; WAL = folds/s × WAL a fold."
    yield ""


def _folds(given: Assumptions) -> list[tuple[str, float, str]]:
    return [
        ("checkpoints", given.riders / given.checkpoint, "10 min after 1 h"),
        ("completions", given.riders / given.ride, "1 h"),
    ]


def _postgresql(report: Report, given: Assumptions) -> Iterator[str]:
    """Transactions and disk."""
    transactions = sum(rate for _, rate, _ in _folds(given))
    hour = report.median("fold: 1 h, kept in PostgreSQL")
    archive = report.median("fold: archive of 1 h, nine channels")
    a_year = given.riders * given.hours_a_year * hour / 1e9
    yield (
        f"PostgreSQL: {transactions:,.0f} transactions/s (checkpoints/s + completions/s); "
        f"{hour:.0f} KB an hour ridden, of which {archive:.0f} KB are samples: "
        f"{given.riders * hour / 1e6:,.0f} GB an hour of everybody riding, and "
        f"{a_year:,.0f} TB a year (riders × {given.hours_a_year} h × KB an hour)."
    )


def _cores(needed: float, given: Assumptions) -> int:
    return math.ceil(needed / given.busy)
