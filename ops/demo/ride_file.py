"""Sends a file to the API as a rider would, and waits for the workouts that come out of it."""

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx2

from ops.demo.requests import RideRefused, ask, attempt, open_client
from shared.files import archives
from shared.files.reading import read_rides
from shared.files.recording import FileRefused

_UNFINISHED: Final = {"queued", "processing"}
_WAIT: Final = {"wait": 30}
_PAUSE: Final = 0.5  # seconds between looks at a zip, of which one cannot wait for every file
_OCTETS: Final = {"Content-Type": "application/octet-stream"}
Answer = dict[str, Any]


@dataclass(frozen=True)
class Imported:
    """The workouts of a file, and what a rider should know: duplicates, warnings, failures."""

    workouts: list[Answer]
    remarks: list[str]


def read_file(path: Path) -> bytes:
    """The bytes of a file that holds a ride. Raises RideRefused.

    It is read here too, before anything is started: so a file that is none leaves nothing behind.
    """
    try:
        data = path.read_bytes()
        _require_ride(data)
    except (OSError, FileRefused) as error:
        raise RideRefused(f"cannot read {path}: {error}") from error
    return data


def send_file(url: str, api_key: str, data: bytes, name: str) -> Imported:
    """Send the file, and wait for its workouts, or for those that it duplicates.

    Raises RideRefused if there are none.
    """
    with open_client(url, api_key) as client:
        query = {"filename": name}
        sent = attempt(client, "POST", "/api/uploads", params=query, content=data, headers=_OCTETS)
        answer = sent.json()
        if sent.status_code == HTTPStatus.CONFLICT and "workoutIds" in answer:
            return Imported(_workouts(client, answer["workoutIds"]), [answer["detail"]])
        if not sent.is_success:
            raise RideRefused(f"{name}: {answer['detail']}")
        return _result(client, _ended(client, f"/api/uploads/{answer['upload']['id']}"))


def read_efforts(url: str, api_key: str, workouts: list[Answer]) -> dict[int, float]:
    """Of a single ride, seconds → the highest mean power; of several, nothing.

    Raises RideRefused.
    """
    if len(workouts) != 1:
        return {}
    with open_client(url, api_key) as client:
        answer = ask(client, "GET", f"/api/workouts/{workouts[0]['id']}/power-curve")
    return {point["duration"]: point["power"] for point in answer["powerCurve"]}


def _require_ride(data: bytes) -> None:
    """Raises FileRefused for a file without a ride, and for a zip without files."""
    if not archives.is_zip(data):
        read_rides(data, time.time_ns() // 1_000_000)
    elif next(archives.members(io.BytesIO(data)), None) is None:
        raise FileRefused("this archive holds no file that may be a ride")


def _ended(client: httpx2.Client, path: str) -> Answer:
    """The upload once it is ended, and so are the files of a zip: each ends, by its limits."""
    while True:
        upload: Answer = ask(client, "GET", path, params=_WAIT)["upload"]
        if not {upload["status"], *(upload["members"] or ())} & _UNFINISHED:
            return upload
        time.sleep(_PAUSE)


def _result(client: httpx2.Client, upload: Answer) -> Imported:
    parts = list(_members(client, upload)) if upload["members"] else [upload]
    named = len(parts) > 1
    remarks = [
        f"{part['filename']}: {remark}" if named else remark
        for part in parts
        for remark in [part["reason"], *part["warnings"]]
        if remark
    ]
    ids = [workout_id for part in parts for workout_id in _ids(part)]
    if not ids:
        raise RideRefused("; ".join(remarks))
    return Imported(_workouts(client, list(dict.fromkeys(ids))), remarks)


def _ids(upload: Answer) -> list[str]:
    return upload["workoutIds"] or [each["workoutId"] for each in upload["duplicates"]]


def _members(client: httpx2.Client, archive: Answer) -> Iterator[Answer]:
    """The files of a zip, page by page."""
    query = {"parent": archive["id"], "limit": 100}
    while True:
        page = ask(client, "GET", "/api/uploads", params=query)
        yield from page["uploads"]
        if page["pagination"]["nextCursor"] is None:
            return
        query["cursor"] = page["pagination"]["nextCursor"]


def _workouts(client: httpx2.Client, ids: list[str]) -> list[Answer]:
    return [ask(client, "GET", f"/api/workouts/{each}")["workout"] for each in ids]
