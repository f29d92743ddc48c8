"""A million riders at once, from the measured cost of one; docs/performance.md has the formulas."""

import math
from collections.abc import Iterator, Mapping

from msgspec import Struct

Costs = Mapping[str, float]  # the medians of a report, by the figure's key


class Assumptions(Struct, frozen=True):
    """What is not measured."""

    riders: int = 1_000_000
    checkpoint: int = 600  # seconds between two
    ride: int = 3600  # seconds
    hours_a_year: int = 200  # that a rider rides
    busy: float = 0.7  # part of a core that is planned for
    shard_gb: float = 24  # of Redis memory planned for in a node of 32 GB
    batches: tuple[int, ...] = (1, 10, 60)

    def cores(self, needed: float) -> int:
        """How many, if each is kept only so busy."""
        return math.ceil(needed / self.busy)

    def folds(self) -> list[tuple[str, float, str]]:
        """Each kind: how many a second, and the figure that has its cost."""
        return [
            ("checkpoints", self.riders / self.checkpoint, "10 min after 1 h"),
            ("completions", self.riders / self.ride, "1 h"),
        ]


def capacity(costs: Costs, given: Assumptions) -> Iterator[str]:
    """The lines of the page, in Markdown. Raises KeyError for a figure that was not measured."""
    yield (
        "## A million riders at once\n\n"
        f"Assumed: {given.riders:,} riders at 1 Hz, rides of {given.ride // 60} minutes, "
        f"a checkpoint every {given.checkpoint} s, cores planned for {given.busy:.0%} load, "
        f"{given.shard_gb:.0f} GB of samples a Redis node, "
        f"{given.hours_a_year} hours ridden a rider and year. Costs are those of the table.\n"
    )
    yield "| samples an upload | requests/s | API CPU a request | API processes |"
    yield "|--:|--:|--:|--:|"
    yield from (_uploads(costs, given, size) for size in given.batches)
    yield "\n| samples an upload | memory | commands/s | Redis CPU | shards |"
    yield "|--:|--:|--:|--:|--:|"
    yield from (_redis(costs, given, size) for size in given.batches)
    yield "\n| fold | a second | worker CPU | workers | PostgreSQL CPU | cores | WAL |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    yield from (_folds(costs, given, *kind) for kind in given.folds())
    yield _postgresql(costs, given)


def _uploads(costs: Costs, given: Assumptions, size: int) -> str:
    """Requests, and API processes for them."""
    cost = costs[f"upload: API CPU a request, batches of {size}"]
    rate = given.riders / size
    return f"| {size} | {rate:,.0f} | {cost:.0f} µs | {given.cores(rate * cost / 1e6)} |"


def _redis(costs: Costs, given: Assumptions, size: int) -> str:
    """Memory between checkpoints, commands, and the shards that either asks for."""
    rate = given.riders / size
    sample = costs[f"redis: memory a sample, 8 channels, batches of {size}"]
    commands = rate * costs[f"upload: Redis commands a request, batches of {size}"]
    cores = rate * costs[f"upload: Redis CPU a request, batches of {size}"] / 1e6
    memory = given.riders * given.checkpoint * sample / 1e9
    shards = max(math.ceil(memory / given.shard_gb), given.cores(cores))
    return f"| {size} | {memory:,.1f} GB | {commands:,.0f} | {cores:.1f} cores | {shards} |"


def _folds(costs: Costs, given: Assumptions, name: str, rate: float, figure: str) -> str:
    """Checkpoints or completions, and the processes for them."""
    worker, server, wal = (
        costs[f"fold: {figure}, {each}"] for each in ("worker CPU", "PostgreSQL CPU", "WAL")
    )
    workers, cores = (given.cores(rate * each / 1e3) for each in (worker, server))
    return (
        f"| {name} | {rate:,.0f} | {worker:.2f} ms | {workers} "
        f"| {server:.2f} ms | {cores} | {rate * wal / 1e6:.2f} GB/s |"
    )


def _postgresql(costs: Costs, given: Assumptions) -> str:
    """Transactions and disk."""
    transactions = sum(rate for _, rate, _ in given.folds())
    hour = costs["fold: 1 h, kept in PostgreSQL"]
    archive = costs["fold: archive of 1 h, nine channels"]
    return (
        f"\nPostgreSQL: {transactions:,.0f} transactions/s; {hour:.0f} KB an hour ridden, of which "
        f"{archive:.0f} KB are samples: {given.riders * hour / 1e6:,.0f} GB an hour of everybody "
        f"riding, and {given.riders * given.hours_a_year * hour / 1e9:,.0f} TB a year."
    )
