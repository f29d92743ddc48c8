"""`make bench-decade`: a rider's ten years as files, imported at one go; and another rider's one.

Thousands of FIT files are sent as fast as they are taken. Said are how many are imported in a
second, in the first and in the last quarter; what it takes of memory; and how long another rider
waits for a single file meanwhile. A file that is lost ends the program with an error.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, Final

import click
import httpx2
import msgspec
from rich.console import Console
from rich.markdown import Markdown

from bench.figures import Figure, most
from bench.meters import children_of, memory_of
from bench.report import to_table
from bench.rides import ride
from bench.system import System, running_system
from ops.admin.accounts import create_account
from ops.processes import Process
from ops.variables import run_in_words, variable
from shared.files.fit_writer import write_fit
from shared.files.recording import Recording

_SENDERS: Final = 4
_ALONE: Final = 10  # files of the other rider while nobody else imports
_TIMES: Final = 10.0  # longer than alone
_PAUSE: Final = 2.0  # seconds between the other rider's files, and between looks at the memory
_ENDED: Final = """
SELECT extract(epoch FROM updated_at)::float AS ended FROM uploads
WHERE user_id = %s AND status = 'done' ORDER BY updated_at
"""
_KEPT: Final = """
SELECT count(*) AS workouts, count(DISTINCT start_time) AS starts,
    count(*) FILTER (
        WHERE status = 'COMPLETED' AND duplicate_of IS NULL
            AND (summary ->> 'sampleCount')::int = 3600
    ) AS whole,
    pg_database_size(current_database()) AS bytes
FROM workouts WHERE user_id = %s
"""


@click.command()
@variable("--files", envvar="FILES", default=2000, show_default=True, type=click.IntRange(8))
@variable("--workers", envvar="N", default=2, show_default=True, type=click.IntRange(1))
def main(files: int, workers: int) -> None:
    """Import so many files of an hour, a day apart, by so many workers."""
    console = Console(highlight=False)
    console.width = max(console.width, 120)
    with running_system() as system:
        figures = [
            msgspec.structs.replace(figure, section="decade")
            for figure in _measure(system, files, workers)
        ]
    console.print(Markdown(to_table(figures)))


def fit_file(day: int) -> bytes:
    """An hour of nine channels, so many days before the newest; no neighbours are alike."""
    return write_fit(Recording(ride(1, -day)))


def _measure(system: System, files: int, workers: int) -> Iterator[Figure]:
    other = create_account(system.environ["DATABASE_URL"], "other@example.com", "bench")
    with (
        system.serving("api") as api,
        system.workers(workers) as processes,
        _client(api.url, system.account.api_key) as rider,
        _client(api.url, other.api_key) as alone,
    ):
        single = map(fit_file, count(1))
        quiet = [_wait_for(alone, next(single)) for _ in range(_ALONE)]
        with _Memory(system, processes) as memory:
            waits = _import_all(rider, alone, files, single)
        yield from _rates(system, files)
        kept = _require_all(system, rider, files)
        yield Figure(
            "another rider's file meanwhile",
            "s",
            waits,
            "alone",
            quiet,
            target=most(_TIMES, "limit"),
        )
        yield Figure("the longest of those", "s", [max(waits)])
        yield from memory.figures()
        yield Figure("database, a file and its workout", "KB", [kept["bytes"] / files / 1000])


def _client(url: str, api_key: str) -> httpx2.Client:
    headers = {"X-API-Key": api_key, "Content-Type": "application/octet-stream"}
    return httpx2.Client(base_url=url, headers=headers, timeout=120)


def _import_all(
    rider: httpx2.Client, other: httpx2.Client, files: int, single: Iterator[bytes]
) -> list[float]:
    """Send all of them, and wait; how long each file of the other rider took meanwhile."""
    with ThreadPoolExecutor(_SENDERS) as senders:
        sent = [senders.submit(_send, rider, day) for day in range(files)]
        waits = list[float]()
        while not (all(each.done() for each in sent) and _is_ended(rider)):
            waits.append(_wait_for(other, next(single)))
            time.sleep(_PAUSE)
        for each in sent:
            each.result()
    return waits


def _send(client: httpx2.Client, day: int) -> None:
    """A file, answered at once."""
    client.post("/api/uploads", content=fit_file(day)).raise_for_status()


def _is_ended(client: httpx2.Client) -> bool:
    """Whether no upload waits or is under way."""
    return not any(
        client.get("/api/uploads", params={"status": status, "limit": 1})
        .raise_for_status()
        .json()["uploads"]
        for status in ("queued", "processing")
    )


def _wait_for(client: httpx2.Client, file: bytes) -> float:
    """How many seconds a file takes until its workout is completed."""
    began = time.perf_counter()
    answer = client.post("/api/uploads", content=file, headers={"Prefer": "wait=60"})
    if answer.status_code != 200 or answer.json()["upload"]["status"] != "done":
        raise RuntimeError(f"the import was answered with {answer.status_code}: {answer.text}")
    return time.perf_counter() - began


def _rates(system: System, files: int) -> Iterator[Figure]:
    """Of all, and of the first and the last quarter: whether it slows down as rides grow many."""
    with system.database.connection() as connection:
        rows = connection.execute(_ENDED, [system.account.user_id]).fetchall()
    ended = [row["ended"] for row in rows]
    if len(ended) != files:
        raise RuntimeError(f"{files} files were sent, and {len(ended)} are done")
    quarter = files // 4
    for name, part in (
        ("files a second", ended),
        ("in the first quarter", ended[:quarter]),
        ("in the last quarter", ended[-quarter:]),
    ):
        yield Figure(name, "1/s", [(len(part) - 1) / (part[-1] - part[0])])


def _require_all(system: System, rider: httpx2.Client, files: int) -> dict[str, Any]:
    """Every file is a workout with all its samples, and the totals count each."""
    with system.database.connection() as connection:
        kept = connection.execute(_KEPT, [system.account.user_id]).fetchone() or {}
    if not kept["workouts"] == kept["starts"] == kept["whole"] == files:
        raise RuntimeError(f"{files} files were sent, and these are kept: {kept}")
    listed = rider.get("/api/workouts", params={"limit": 1}).json()["pagination"]["total"]
    if listed != files:
        raise RuntimeError(f"{files} files were sent, and {listed} workouts are listed")
    return dict(kept)


class _Memory:
    """Looks from a thread at what the processes and Redis hold, and keeps the most of each."""

    def __init__(self, system: System, workers: Sequence[Process]) -> None:
        self._system = system
        self._workers = workers
        self._most = dict[str, float]()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "_Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def figures(self) -> Iterator[Figure]:
        """The most that each has held, in MB."""
        for name, megabytes in self._most.items():
            yield Figure(f"{name}, at most", "MB", [megabytes])

    def _watch(self) -> None:
        while not self._over.wait(_PAUSE):
            info: Any = self._system.redis.info("memory")
            readers = [pid for each in self._workers for pid in children_of(each.pid)]
            self._note("Redis", info["used_memory"] / 1e6)
            self._note("a worker", max(memory_of(each.pid) for each in self._workers))
            self._note("its reading process", max(map(memory_of, readers), default=0))

    def _note(self, name: str, megabytes: float) -> None:
        self._most[name] = max(self._most.get(name, 0), megabytes)


if __name__ == "__main__":
    run_in_words(main)
