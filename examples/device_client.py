"""Record a ride on a device and bring it to the server, whatever the network does.

One file to copy. It needs Python 3.11, httpx2, and a key that may ``upload``.

    device = Device("https://tracker.example", key, Path("rides.db"))
    if not device.riding:  # else power was lost on the way, and the ride goes on
        device.start(title="Evening ride")
    device.add({"power": 210, "cadence": 90})  # of now, or with a "timestamp" in ms
    device.complete()

``start``, ``add`` and ``complete`` write to disk and return; a thread sends, now or in a week.
A reading leaves the disk once the receipt says that it is in PostgreSQL. Each answer tells the
server's ``epoch``: with another one than before, what was acknowledged and is not there yet may be
lost, and all that is still here is sent again, for a batch counts once. A ride has an id of its own
from the beginning, so a start, too, is sent until it is answered. Samples may come in any order of
time. What fails is told to ``on_trouble``, and tried again for ever:

* no answer, 5xx, 429: after Retry-After and a random pause that grows; in halves, too, as after 413
* 401, 403: every ``Pace.slow`` seconds, or at once after ``use_key``; meanwhile all is kept
* a reading out of bounds: the server stores the rest; a sample of which it can store nothing is
  set aside until its ride is forgotten
* 404: the ride was deleted. No more of it is sent, and it stays in the file. A restart or another
  key tries once more, in case that key was the wrong one
* 409: the server could not compute the ride, and keeps the samples; or there are too many rides
  under way. Asked again, slowly
"""

import argparse
import gzip
import json
import logging
import math
import os
import random
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2

logger = logging.getLogger(__name__)

_BATCH: Final = 1000  # samples
_UNSENT, _SENT, _REFUSED = 0, 1, 2
_TABLES: Final = """
PRAGMA locking_mode = EXCLUSIVE; -- a second process must not send the same rides
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL; -- what was added outlives a loss of power
CREATE TABLE IF NOT EXISTS rides (
    id INTEGER PRIMARY KEY AUTOINCREMENT, details TEXT NOT NULL, workout TEXT NOT NULL,
    is_started INTEGER NOT NULL DEFAULT 0, is_over INTEGER NOT NULL DEFAULT 0,
    is_completed INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS samples (
    id INTEGER PRIMARY KEY, ride INTEGER NOT NULL, timestamp INTEGER NOT NULL,
    reading TEXT NOT NULL,
    state INTEGER NOT NULL DEFAULT 0, UNIQUE (ride, timestamp)
);
-- In which epoch all that was sent was acknowledged.
CREATE TABLE IF NOT EXISTS server (epoch TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS unsent ON samples (ride, id) WHERE state = 0;
"""


class Pace(NamedTuple):
    """Seconds: between uploads, between receipts, the longest back-off, and without any hurry."""

    upload: float = 5
    receipt: float = 60
    longest: float = 60
    slow: float = 300


_PACE: Final = Pace()


class Trouble(Exception):
    """Why something was not sent. ``status`` is the answer's; 0 if there was none."""

    def __init__(self, detail: str, status: int = 0, headers: Mapping[str, str] = {}) -> None:
        super().__init__(f"{status}: {detail}" if status else detail)
        self.status = status
        wait = headers.get("retry-after", "")
        self.retry_after = int(wait) if wait.isascii() and wait.isdigit() else 0
        # Of a ride or a sample the service itself is believed, not a proxy or portal on the way.
        self._is_ours = headers.get("content-type") == "application/problem+json"

    def is_answer(self, *statuses: int) -> bool:
        """Whether the service itself answered with one of these."""
        return self._is_ours and self.status in statuses

    @property
    def is_lasting(self) -> bool:
        """Whether time alone is unlikely to mend it."""
        return 300 <= self.status < 500 and self.status not in (408, 413, 429)


class Device:
    """Records one ride after the other. ``on_trouble`` is called by the thread that sends.

    Raises sqlite3.OperationalError if another process has the file open.
    """

    def __init__(
        self,
        url: str,
        key: str,
        file: Path,
        on_trouble: Callable[[Trouble], None] = logger.warning,
        pace: Pace = _PACE,
    ) -> None:
        self.receipt: Any = None  # the latest
        self._key, self._on_trouble, self._pace = key, on_trouble, pace
        self._buffer = _Buffer(file)
        self._http = httpx2.Client(base_url=url, timeout=30)
        self._size = _BATCH  # of the next batch
        self._resting: dict[int, float] = {}  # until when a ride is left alone
        self._next_receipt: dict[int, float] = {}
        self._told: set[str] = set()  # names of members that the server ignores
        self._closing, self._wake = False, threading.Event()
        self._sender = threading.Thread(target=self._run, name="device sender", daemon=True)
        self._sender.start()

    @property
    def riding(self) -> bool:
        """Whether a ride is under way, be it from before a restart."""
        return any(not ride.is_over for ride in self._buffer.rides())

    @property
    def unsent(self) -> int:
        """How many samples the server has yet to acknowledge."""
        return self._buffer.total("state = 0")

    @property
    def kept(self) -> int:
        """How many readings are on disk: what is not yet durable there, or was refused."""
        return self._buffer.total("true")

    def start(self, **details: str) -> None:
        """Begin a ride (title, description, sport). One still under way is completed."""
        self._buffer.start(json.dumps(details))

    def add(self, *samples: Mapping[str, Any]) -> None:
        """Keep samples of the ride under way. Raises ValueError for what is no timestamp.

        Raises RuntimeError if no ride is under way, sqlite3.Error if the disk fails or is full.
        """
        self._buffer.add([_to_reading(sample) for sample in samples])

    def complete(self) -> None:
        """End the ride under way; the server is told when it has acknowledged every sample."""
        self._buffer.change("UPDATE rides SET is_over = 1")

    def wait(self, timeout: float) -> bool:
        """Wait until every ride that is over is safe on the server; False if time ran out."""
        deadline = time.monotonic() + timeout
        while any(ride.is_over for ride in self._buffer.rides()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def use_key(self, key: str) -> None:
        """Send another key from now on: the old one was rotated."""
        self._key = key
        self._resting.clear()
        self._wake.set()

    def close(self) -> None:
        """Stop sending, once a request under way has ended. The next Device goes on."""
        self._closing = True
        self._wake.set()
        self._sender.join()
        self._http.close()
        self._buffer.close()

    def _run(self) -> None:
        failures = 0
        while not self._closing:
            try:
                self._send_all()
                failures, pause = 0, self._pace.upload
            except Exception as error:  # whatever it is: a sender that died would lose the ride
                failures += 1
                pause = self._pause_after(self._tell(error), failures)
            self._wake.wait(pause)
            self._wake.clear()

    def _pause_after(self, trouble: Trouble, failures: int) -> float:
        """At random, so that devices that failed together do not come back together."""
        if trouble.is_lasting:
            return random.uniform(0.5, 1) * self._pace.slow
        longest = min(2 ** min(failures, 16), self._pace.longest)
        return trouble.retry_after + random.uniform(0, longest)

    def _tell(self, error: Exception) -> Trouble:
        trouble = error if isinstance(error, Trouble) else Trouble(repr(error))
        try:
            self._on_trouble(trouble)
        except Exception:
            logger.exception("on_trouble failed")
        return trouble

    def _send_all(self) -> None:
        """Send what there is of every ride. Raises Trouble if it concerns all of them."""
        for ride in self._buffer.rides():
            if self._closing or time.monotonic() < self._resting.get(ride.id, 0):
                continue
            try:
                self._send(ride)
            except Trouble as trouble:
                if not trouble.is_answer(404, 409):
                    raise
                self._tell(trouble)
                rest = math.inf if trouble.status == 404 else self._pace.slow
                self._resting[ride.id] = time.monotonic() + rest

    def _send(self, ride: "_Ride") -> None:
        """Start, upload, complete, forget: as far as it goes now."""
        path = f"/api/workouts/{ride.workout}"
        if not ride.is_started:
            self._start(path, ride)
        newest = self._buffer.newest(ride.id)  # samples go on being added
        while batch := self._buffer.unsent(ride.id, newest, self._size):
            if self._closing:
                return
            self._upload(path, batch)
        if ride.is_over and not ride.is_completed and self._complete(path):
            self._buffer.change("UPDATE rides SET is_completed = 1 WHERE id = ?", ride.id)
            self._next_receipt.pop(ride.id, None)
        if time.monotonic() >= self._next_receipt.get(ride.id, 0):
            self._next_receipt[ride.id] = time.monotonic() + self._pace.receipt
            self._forget(path, ride.id)

    def _start(self, path: str, ride: "_Ride") -> None:
        try:
            self._ask("PUT", path, json=json.loads(ride.details))
        except Trouble as trouble:
            if not trouble.is_answer(400, 413, 422):
                raise
            self._tell(trouble)  # a bad title must not hold up the ride
            self._ask("PUT", path, json={})
        self._buffer.change("UPDATE rides SET is_started = 1 WHERE id = ?", ride.id)

    def _upload(self, path: str, batch: "_Batch") -> None:
        """Send a batch once. A failure halves the next one, a success doubles it."""
        body = gzip.compress("\n".join(reading for _, reading in batch).encode())
        headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
        headers["Prefer"] = "handling=lenient"  # one faulty sensor must not hold up the ride
        size, self._size = self._size, max(len(batch) // 2, 1)
        try:
            answer = self._ask("POST", f"{path}/telemetry", content=body, headers=headers)
        except Trouble as trouble:
            if not trouble.is_answer(400, 413, 422):
                raise
            if len(batch) == 1:
                self._tell(trouble)
                self._buffer.note(batch, _REFUSED)
            return
        if self._note_answer(batch, answer):
            self._size = min(2 * size, _BATCH)

    def _note_answer(self, batch: "_Batch", answer: Any) -> bool:
        """Whether it tells of every sample of the batch what became of it."""
        dropped = answer.get("dropped", [])
        if dropped:
            self._tell(Trouble(f"left out: {dropped}"))
        self._note_epoch(answer["epoch"])
        self._tell_ignored(answer.get("ignored", {}))
        # Else it was one reading, and the rest of the sample was stored.
        left_out = {at["index"] for at in dropped if at.get("member") in (None, "timestamp")}
        if answer["accepted"] + len(left_out) < len(batch):  # the list was cut short
            return False
        self._buffer.note([row for at, row in enumerate(batch) if at in left_out], _REFUSED)
        self._buffer.note([row for at, row in enumerate(batch) if at not in left_out], _SENT)
        return True

    def _tell_ignored(self, ignored: Mapping[str, str | None]) -> None:
        """Each name that the server does not know, once, with the one that it may stand for."""
        for name in ignored.keys() - self._told:
            hint = f"did you mean `{ignored[name]}`?" if ignored[name] else "it has no such channel"
            self._tell(Trouble(f"the server ignores `{name}` of samples: {hint}"))
        self._told |= ignored.keys()

    def _complete(self, path: str) -> bool:
        answer = self._ask("POST", f"{path}/complete", headers={"Prefer": "wait=10"})
        if answer["epoch"]:  # else Redis was away, and the receipt will tell
            self._note_epoch(answer["epoch"])
        return answer["workout"]["status"] in ("COMPLETED", "ARCHIVED")

    def _forget(self, path: str, ride: int) -> None:
        """Forget what is durable, unless by now some of what is not may be lost."""
        self.receipt = self._ask("GET", f"{path}/receipt")
        if not self._note_epoch(self.receipt["epoch"]):
            self._buffer.forget(ride, self.receipt["durableThrough"] or 0)

    def _note_epoch(self, epoch: str) -> bool:
        """Whether it is another one than that in which all was acknowledged: then it is unsent."""
        if self._buffer.epoch() == epoch:
            return False
        if lost := self._buffer.begin_epoch(epoch):
            self._tell(Trouble(f"the server may have lost {lost} samples: sending again"))
        return True

    def _ask(self, method: str, path: str, **request: Any) -> Any:
        """The JSON of a success. Raises Trouble for any other answer, and for none."""
        headers = {**request.pop("headers", {}), "Authorization": f"Bearer {self._key}"}
        try:
            response = self._http.request(method, path, headers=headers, **request)
            if response.is_success:
                return response.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise Trouble(f"no answer: {error!r}") from error
        raise Trouble(response.text[:500], response.status_code, response.headers)


_Batch = Sequence[tuple[int, str]]  # the id and the reading of each sample


class _Ride(NamedTuple):
    id: int
    details: str
    workout: str
    is_started: bool
    is_over: bool
    is_completed: bool


_COLUMNS: Final = ", ".join(_Ride._fields)


class _Buffer:
    """Rides and samples in a file, for the thread that records and the one that sends."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._file = sqlite3.connect(file, check_same_thread=False)
        self._file.executescript(_TABLES)
        self.rides()  # raises for tables of others

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def rides(self) -> list[_Ride]:
        """The one under way first: somebody may be watching."""
        return [
            _Ride(*row) for row in self._query(f"SELECT {_COLUMNS} FROM rides ORDER BY is_over, id")
        ]

    def start(self, details: str) -> None:
        with self._lock, self._file:
            self._file.execute("UPDATE rides SET is_over = 1")
            new = "INSERT INTO rides (details, workout) VALUES (?, ?)"
            self._file.execute(new, [details, str(uuid4())])

    def add(self, readings: Iterable[tuple[int, str]]) -> None:
        """Of two samples with one timestamp, the later corrects what it measured."""
        ride = next((ride.id for ride in self.rides() if not ride.is_over), None)
        if ride is None:
            raise RuntimeError("no ride is under way")
        self._change_each(
            "INSERT INTO samples (ride, timestamp, reading) VALUES (?, ?, ?)"
            " ON CONFLICT (ride, timestamp) DO UPDATE SET state = 0,"
            " reading = json_patch(reading, excluded.reading)",
            [(ride, *reading) for reading in readings],
        )

    def newest(self, ride: int) -> int:
        [[newest]] = self._query("SELECT coalesce(max(id), 0) FROM samples WHERE ride = ?", ride)
        return int(newest)

    def unsent(self, ride: int, newest: int, most: int) -> _Batch:
        wanted = "state = 0 AND ride = ? AND id <= ? ORDER BY id LIMIT ?"
        return self._query(f"SELECT id, reading FROM samples WHERE {wanted}", ride, newest, most)

    def note(self, batch: _Batch, state: int) -> None:
        """What was corrected while it was being sent stays unsent."""
        statement = "UPDATE samples SET state = ? WHERE id = ? AND reading = ?"
        self._change_each(statement, [(state, *row) for row in batch])

    def total(self, condition: str) -> int:
        [[count]] = self._query(f"SELECT count(*) FROM samples WHERE {condition}")
        return int(count)

    def epoch(self) -> str | None:
        return next((epoch for (epoch,) in self._query("SELECT epoch FROM server")), None)

    def begin_epoch(self, epoch: str) -> int:
        """How many samples, of any ride, were sent before it, and are unsent again."""
        with self._lock, self._file:
            again = "UPDATE samples SET state = ? WHERE state = ?"
            changed = self._file.execute(again, [_UNSENT, _SENT]).rowcount
            self._file.execute("DELETE FROM server")
            self._file.execute("INSERT INTO server VALUES (?)", [epoch])
        return changed

    def forget(self, ride: int, durable_through: int) -> None:
        """Forget readings, and the ride if it is completed and none of them is left."""
        safe = "ride = ? AND timestamp <= ? AND state = ?"
        self.change(f"DELETE FROM samples WHERE {safe}", ride, durable_through, _SENT)
        left = "SELECT ride FROM samples WHERE state <> ?"
        statement = f"DELETE FROM rides WHERE is_completed AND id NOT IN ({left})"
        self.change(statement, _REFUSED)
        self.change("DELETE FROM samples WHERE ride NOT IN (SELECT id FROM rides)")

    def change(self, statement: str, *values: object) -> None:
        self._change_each(statement, [values])

    def _change_each(self, statement: str, rows: Iterable[Sequence[object]]) -> None:
        with self._lock, self._file:
            self._file.executemany(statement, rows)

    def _query(self, statement: str, *values: object) -> list[Any]:
        with self._lock:
            return self._file.execute(statement, values).fetchall()


def _to_reading(sample: Mapping[str, Any]) -> tuple[int, str]:
    """Timestamp and JSON. None, NaN and infinity were not measured."""
    timestamp = _milliseconds(sample.get("timestamp", time.time_ns() // 1_000_000))
    measured = {
        name: value
        for name, value in sample.items()
        if value is not None and not (isinstance(value, float) and not math.isfinite(value))
    }
    return timestamp, json.dumps({**measured, "timestamp": timestamp})


def _milliseconds(value: object) -> int:
    with suppress(ValueError):  # it is no time, as what is said below
        if isinstance(value, str) and (moment := datetime.fromisoformat(value)).tzinfo:
            value = moment.timestamp() * 1000
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**53:
        raise ValueError("a timestamp is Unix milliseconds, or RFC 3339 with an offset")
    return round(value)


def simulate(seconds: int) -> Iterator[dict[str, Any]]:
    """The last seconds of somebody who rides in waves."""
    begin = time.time_ns() // 1_000_000 - 1000 * seconds
    for second in range(seconds):
        power = round(200 + 60 * math.sin(second / 30))
        yield {"timestamp": begin + 1000 * second, "power": power, "cadence": 80 + power // 20}


def _is_address(url: str) -> bool:
    """Whether requests can go there: http or https, a host, and no path."""
    try:
        parts = urlsplit(url)
        named = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # no port, or half an IPv6 address
        return False
    return bool(named) and parts.path in ("", "/") and not (parts.query or parts.fragment)


def main() -> None:
    """Play a ride of ten minutes, or the samples of stdin, and print the receipt."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--key", default=os.environ.get("BPT_KEY"), help="BPT_KEY without")
    parser.add_argument("--file", type=Path, default="rides.db", help="where rides are kept")
    parser.add_argument("--stdin", action="store_true", help="read samples, a line of JSON each")
    options = parser.parse_args()
    if not options.key:
        parser.error("give a --key, or set BPT_KEY")
    if not _is_address(options.url):
        parser.error("--url is the service's address alone, such as https://tracker.example:8000")
    try:
        device = Device(options.url, options.key, options.file, pace=Pace(upload=1))
        _record(device, _read(sys.stdin.buffer) if options.stdin else simulate(600))
    except sqlite3.Error as error:
        sys.exit(f"cannot use {options.file}: {_TROUBLES_OF_FILES.get(_code(error), error)}")
    print(json.dumps(device.receipt))


def _record(device: Device, samples: Iterable[Mapping[str, Any]]) -> None:
    """A ride of these samples, from its start until it is safe on the server."""
    if not device.riding:
        device.start(title="From the example client")
    for sample in samples:
        try:
            device.add(sample)
        except ValueError as error:
            logger.warning("left out %.80r: %s", sample, error)
    device.complete()
    while not device.wait(60):
        logger.warning("still trying; interrupted, the next run goes on")
    device.close()


def _read(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The objects of JSON, a line each. What is none is left out, and told."""
    for number, line in enumerate(lines, 1):
        try:
            sample = json.loads(line)
        except (ValueError, RecursionError):
            sample = None
        if isinstance(sample, dict):
            yield sample
        elif line.strip():
            example = '{"power": 210, "cadence": 90}'
            logger.warning("left out line %d: it is no sample, such as %s", number, example)


def _code(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", "")


_DAMAGED: Final = "it is damaged, or no file of rides; move it away, or name another by --file"
_TROUBLES_OF_FILES: Final = {
    "SQLITE_BUSY": "another process sends the rides in it",
    "SQLITE_CANTOPEN": "is its folder there, and may this user write to it?",
    "SQLITE_CORRUPT": _DAMAGED,
    "SQLITE_ERROR": _DAMAGED,  # a table is not as here
    "SQLITE_FULL": "the disk is full",
    "SQLITE_NOTADB": _DAMAGED,
    "SQLITE_READONLY": "this user may not write to it",
}


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; the next run goes on")
