"""Plays a ride to the API as a device would: in batches, sending again what was not accepted."""

import gzip
import json
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import httpx2

from shared.errors import TrackerError

BATCH: Final = 60  # samples
_PATIENCE: Final = 60.0  # seconds to go on trying while the service is busy or restarting


class RideRefused(TrackerError):
    """The API did not accept the ride."""


def read_ride(path: Path) -> list[bytes]:
    """The lines of an NDJSON file, gzipped or not."""
    try:
        raw = path.read_bytes()
        content = gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise RideRefused(f"cannot read {path}: {error}") from error
    return [line for line in content.splitlines() if line.strip()]


def to_lines(samples: Iterable[dict[str, Any]]) -> list[bytes]:
    """Samples as lines of NDJSON."""
    return [json.dumps(sample).encode() for sample in samples]


def play_ride(
    url: str, api_key: str, lines: Sequence[bytes], title: str, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Create a workout, upload every line, complete it, and return it as it then is.

    ``progress`` is told the number of samples after each batch. Raises RideRefused.
    """
    headers = {"Authorization": f"Bearer {api_key}"}
    with httpx2.Client(base_url=url, headers=headers, timeout=60) as client:
        created = _send(client, "/api/workouts", json={"title": title})
        path = f"/api/workouts/{created['workout']['id']}"
        for at in range(0, len(lines), BATCH):
            batch = lines[at : at + BATCH]
            content = b"\n".join(batch)
            _send(
                client,
                f"{path}/telemetry",
                content=content,
                headers={"Content-Type": "application/x-ndjson"},
            )
            progress(len(batch))
        answer = _send(client, f"{path}/complete", headers={"Prefer": "wait=30"})
    workout: dict[str, Any] = answer["workout"]
    if workout["status"] != "COMPLETED":
        raise RideRefused(f"the ride is {workout['status']}, not COMPLETED")
    return workout


def _send(client: httpx2.Client, path: str, **request: Any) -> dict[str, Any]:
    """POST, again and again while the service says that it is only busy."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            response = client.post(path, **request)
        except httpx2.TransportError as error:
            failure = str(error)
        else:
            if response.is_success:
                answer: dict[str, Any] = response.json()
                return answer
            failure = _describe(response)
            if response.status_code != httpx2.codes.SERVICE_UNAVAILABLE:
                raise RideRefused(failure)
        if time.monotonic() > deadline:
            raise RideRefused(f"no success in {_PATIENCE:g} s: {failure}")
        time.sleep(0.5)


def _describe(response: httpx2.Response) -> str:
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError):
        detail = response.text[:200]
    return f"{response.request.url.path}: {response.status_code}: {detail}"
