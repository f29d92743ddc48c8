"""A million riders, by hand."""

import pytest

from bench.capacity import Assumptions, capacity

COSTS = {
    "upload: API CPU a request, batches of 60": 42,  # 16,667/s · 42 µs = 0.7 cores, one at 70 %
    "upload: Redis commands a request, batches of 60": 2,
    "upload: Redis CPU a request, batches of 60": 12,
    "redis: memory a sample, 8 channels, batches of 60": 40,  # · 600 s · 10⁶ = 24 GB
    "fold: 1 h, kept in PostgreSQL": 30,  # KB · 200 h · 10⁶ = 6 TB
    "fold: archive of 1 h, nine channels": 25,
    "fold: 1 h, worker CPU": 6,  # ms · 10⁶ / 3600 s = 1.67 cores, three at 70 %
    "fold: 1 h, PostgreSQL CPU": 3,  # two at 70 %
    "fold: 1 h, WAL": 32,  # KB · 278/s = 8.9 MB/s
    "fold: 10 min after 1 h, worker CPU": 6,  # ms · 10⁶ / 600 s = 10 cores, 15 at 70 %
    "fold: 10 min after 1 h, PostgreSQL CPU": 6,
    "fold: 10 min after 1 h, WAL": 6,  # KB · 1,667/s = 10 MB/s
}


def test_a_million_riders() -> None:
    page = "\n".join(capacity(COSTS, Assumptions(batches=(60,))))
    assert "| 60 | 16,667 | 42 µs | 1 |" in page
    assert "| 60 | 24.0 GB | 33,333 | 0.2 cores | 1 |" in page
    assert "| checkpoints | 1,667 | 6.00 ms | 15 | 6.00 ms | 15 | 0.01 GB/s |" in page
    assert "| completions | 278 | 6.00 ms | 3 | 3.00 ms | 2 | 0.01 GB/s |" in page
    assert "PostgreSQL: 1,944 transactions/s; 30 KB an hour" in page
    assert "30 GB an hour of everybody riding, and 6 TB a year" in page


@pytest.mark.parametrize(
    ("cost", "value", "shards"),
    [
        ("redis: memory a sample, 8 channels, batches of 60", 41, 2),  # 24.6 GB are two of 24
        ("upload: Redis CPU a request, batches of 60", 125, 3),  # 2.08 cores are three at 70 %
    ],
)
def test_either_memory_or_cpu_asks_for_another_shard(cost: str, value: float, shards: int) -> None:
    page = "\n".join(capacity({**COSTS, cost: value}, Assumptions(batches=(60,))))
    assert f" cores | {shards} |" in page


def test_a_figure_that_is_missing_is_named() -> None:
    with pytest.raises(KeyError, match="API CPU"):
        list(capacity({}, Assumptions()))
