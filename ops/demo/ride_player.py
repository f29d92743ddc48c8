"""Plays a ride to the API as a device would: in batches, sending again what was not accepted."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx2

from ops.demo.requests import RideRefused, ask, open_client

BATCH: Final = 60  # samples
_ENDINGS: Final = (".ndjson", ".ndjson.gz")


def is_played(path: Path) -> bool:
    """Whether the file holds what a device sends: NDJSON, gzipped or not."""
    return path.name.lower().endswith(_ENDINGS)


def read_ride(path: Path) -> list[bytes]:
    """The lines of an NDJSON file, gzipped or not."""
    try:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if path.suffix.lower() == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise RideRefused(f"cannot read {path}: {error}") from error
    lines = [line for line in content.splitlines() if line.strip()]
    if not lines:
        raise RideRefused(f"{path} is empty")
    return lines


def to_lines(samples: Iterable[dict[str, Any]]) -> list[bytes]:
    """Samples as lines of NDJSON."""
    return [json.dumps(sample).encode() for sample in samples]


def play_ride(
    url: str, api_key: str, lines: Sequence[bytes], title: str, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Create a workout, upload every line, complete it, and return it as it then is.

    ``progress`` is told the number of samples after each batch. Raises RideRefused; then, or when
    it is broken off, the workout is deleted.
    """
    with open_client(url, api_key) as client, _new_workout(client, title) as path:
        for at in range(0, len(lines), BATCH):
            batch = lines[at : at + BATCH]
            _upload(client, path, batch)
            progress(len(batch))
        answer = ask(client, "POST", f"{path}/complete", headers={"Prefer": "wait=30"})
        workout: dict[str, Any] = answer["workout"]
        if workout["status"] != "COMPLETED":
            raise RideRefused(f"the ride is {workout['status']}, not COMPLETED")
    return workout


@contextmanager
def _new_workout(client: httpx2.Client, title: str) -> Iterator[str]:
    """The path of a workout that is deleted if the block fails."""
    created = ask(client, "POST", "/api/workouts", json={"title": title})
    path = f"/api/workouts/{created['workout']['id']}"
    try:
        yield path
    except BaseException:
        with suppress(httpx2.TransportError):
            client.delete(path)
        raise


def _upload(client: httpx2.Client, path: str, batch: Sequence[bytes]) -> None:
    ask(
        client,
        "POST",
        f"{path}/telemetry",
        content=b"\n".join(batch),
        headers={"Content-Type": "application/x-ndjson"},
    )
