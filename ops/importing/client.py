"""Sending files to the API, and hearing what becomes of them."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import Any, Final

import httpx2

from ops.processes import ProcessFailed
from shared.files.takeouts import File
from shared.uploads import FAULTS, UNFINISHED

_WAIT: Final = 5  # seconds of one request; so long Ctrl-C may have to wait
_PATIENCE: Final = 300.0  # seconds without an answer, or without anything done about a file
_TIMEOUT: Final = 120.0  # seconds for one request: a large file over a slow line
_PAUSE: Final = 1.0
_BUSY: Final = frozenset((429, 502, 503, 504))
_MEMBERS: Final = ("title", "description", "sport")


class Kind(Enum):
    """What has become of a file."""

    NEW = "new"
    KNOWN = "already in"  # these bytes
    DUPLICATE = "duplicate"  # the ride, by other bytes
    FAILED = "failed"
    FAULT = "failed, by a fault of this machine"


@dataclass(frozen=True)
class Outcome:
    """Of one file. ``detail``: why; ``rides``: workouts that it made, or the one that it is."""

    name: str
    kind: Kind
    detail: str = ""
    rides: tuple[str, ...] = ()


class Stopped(Exception):
    """The import was told to end."""


class ImportClient:
    """Imports files by the API at ``url``; may be used by many threads."""

    def __init__(self, url: str, api_key: str, language: str) -> None:
        self._http = httpx2.Client(
            base_url=url,
            headers={"X-API-Key": api_key, "Accept-Language": language},
            timeout=_TIMEOUT,
        )
        self._key_id = api_key.split("_")[1]
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let no thread wait or try again any longer."""
        self._stopping.set()

    def close(self) -> None:
        """Revoke the key, which was made for this import alone."""
        with suppress(httpx2.TransportError):  # then it expires
            self._http.delete(f"/api/keys/{self._key_id}", timeout=_WAIT)
        self._http.close()

    def import_file(self, file: File) -> Outcome:
        """Send the file unless its bytes are in, and return once it is imported. Raises Stopped."""
        known = self._sent_before(file.data)
        if known:
            return _outcome_of(file, known, is_known=True)
        answer = self._ask(lambda: self._send(file))
        if answer.status_code == httpx2.codes.CONFLICT:
            return _refused(file, answer)
        if answer.is_error:
            return Outcome(file.name, _kind_of(answer), _detail_of(answer))
        return _outcome_of(file, self._ended(answer.json()["upload"]))

    def give_thresholds(self, thresholds: list[dict[str, Any]]) -> int:
        """Give those of days and sports that have none so far; how many."""
        held = self._get("/api/users/me/thresholds", sport="all")
        known = {(each["sport"], each["effectiveFrom"]) for each in held.json()["thresholds"]}
        fresh = [each for each in thresholds if (each["sport"], each["effectiveFrom"]) not in known]
        for each in sorted(fresh, key=lambda one: str(one["effectiveFrom"])):
            members = {name: value for name, value in each.items() if value is not None}
            members.pop("wattsPerKilogram", None)
            self._put("/api/users/me/thresholds", members)
        return len(fresh)

    def _get(self, path: str, **query: str) -> httpx2.Response:
        answer = self._ask(lambda: self._http.get(path, params=query))
        _require(answer)
        return answer

    def _put(self, path: str, members: dict[str, Any]) -> None:
        _require(self._ask(lambda: self._http.put(path, json=members)))

    def _sent_before(self, data: bytes) -> dict[str, Any] | None:
        """The upload of the same bytes, finished if need be; none that a fault of ours ended."""
        digest = sha256(data).hexdigest()
        found = self._get("/api/uploads", sha256=digest, limit="1").json()["uploads"]
        if not found or found[0]["reason"] in FAULTS:
            return None
        upload: dict[str, Any] = self._ended(found[0])
        return upload

    def _send(self, file: File) -> httpx2.Response:
        said = {name: value for name in _MEMBERS if (value := getattr(file.words, name))}
        if file.is_second:
            said["onDuplicate"] = "keep"
        form = {"file": (file.name.rpartition("/")[2], file.data)}
        return self._http.post(
            "/api/uploads", files=form, data=said, headers={"Prefer": f"wait={_WAIT}"}
        )

    def _ended(self, upload: dict[str, Any]) -> dict[str, Any]:
        """The upload once it is imported. Raises ProcessFailed if nobody imports it."""
        changed, deadline = None, 0.0
        while upload["status"] in UNFINISHED:
            if upload["updatedAt"] != changed:
                changed, deadline = upload["updatedAt"], time.monotonic() + _PATIENCE
            if time.monotonic() > deadline:
                raise ProcessFailed("the files wait, but no worker takes them: start one")
            path = f"/api/uploads/{upload['id']}"
            upload = self._get(path, wait=str(_WAIT)).json()["upload"]
        return upload

    def _ask(self, send: Callable[[], httpx2.Response]) -> httpx2.Response:
        """The answer, sent for again as long as the service is busy or away.

        Raises Stopped, and ProcessFailed when it is away for too long.
        """
        deadline = time.monotonic() + _PATIENCE
        while True:
            if self._stopping.is_set():
                raise Stopped
            try:
                answer = send()
            except httpx2.TransportError as error:
                if time.monotonic() > deadline:
                    raise ProcessFailed(f"the API does not answer: {error}") from None
                pause = _PAUSE
            else:
                if answer.status_code not in _BUSY or time.monotonic() > deadline:
                    return answer
                pause = float(answer.headers.get("Retry-After") or _PAUSE)
            self._stopping.wait(pause)


def _outcome_of(file: File, upload: dict[str, Any], *, is_known: bool = False) -> Outcome:
    reason, rides = upload["reason"] or "", tuple(upload["workoutIds"])
    match upload["status"]:
        case "failed":
            return Outcome(file.name, Kind.FAULT if reason in FAULTS else Kind.FAILED, reason)
        case "duplicate" if not is_known:
            return Outcome(file.name, Kind.DUPLICATE, reason, (upload["duplicateOf"],))
    return Outcome(file.name, Kind.KNOWN if is_known else Kind.NEW, reason, rides)


def _refused(file: File, answer: httpx2.Response) -> Outcome:
    """A 409: the ride is there already, or no more is kept of the user."""
    problem = answer.json()
    if "duplicateOf" not in problem:
        return Outcome(file.name, Kind.FAULT, _detail_of(answer))
    reason = (problem.get("upload") or {}).get("reason") or problem["detail"]
    return Outcome(file.name, Kind.DUPLICATE, reason, (problem["duplicateOf"],))


def _kind_of(answer: httpx2.Response) -> Kind:
    """Whose fault a refusal is: what the API says of the file is the file's."""
    if answer.status_code in (400, 413, 415, 422):
        return Kind.FAILED
    _require_key(answer)
    return Kind.FAULT


def _require(answer: httpx2.Response) -> None:
    if answer.is_error:
        _require_key(answer)
        raise ProcessFailed(f"the API refuses: {_detail_of(answer)}")


def _require_key(answer: httpx2.Response) -> None:
    if answer.status_code in (401, 403):
        raise ProcessFailed("the API takes the import's key no more")


def _detail_of(answer: httpx2.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"
