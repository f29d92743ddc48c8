"""Receive what a webhook tells of rides: verify it, keep it once, and catch up after a pause.

One file to copy. It needs Python 3.11 and nothing else.

    API_URL=https://tracker.example API_KEY=bpt_… WEBHOOK_SECRET=whsec_… \\
        python webhook_receiver.py --port 9000 --file rides.db

The key may ``read``; the secret is that of ``POST /api/webhooks``. While a secret is rotated, give
both, with a space between them. Put a server that speaks TLS in front of it: webhooks are told at
https addresses alone.

At its start it asks ``GET /api/changes`` for all that has changed since it was here, and then
listens. A message is taken if one of its signatures is right and its time is now, give or take five
minutes. It is answered 204 once it is on disk, and printed by another thread: who takes long to
answer is asked again. A message that comes twice has the same ``webhook-id``, and counts once.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

TOLERANCE: Final = 300  # seconds by which the clocks may differ
REMEMBERED: Final = 40 * 86_400  # seconds: deliveries can be repeated for a month
MOST_BODY: Final = 8 * 1024 * 1024  # bytes
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS seen (id TEXT PRIMARY KEY, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS rides (id TEXT PRIMARY KEY, ride TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deleted (id TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS place (cursor TEXT NOT NULL);
"""


class NotGenuine(Exception):
    """The message is not from the service, or it is an old one that somebody sends again."""


def verify(
    secrets: list[str], headers: Mapping[str, str], body: bytes, now: float | None = None
) -> str:
    """The id of a message that is genuine. Raises NotGenuine. ``headers``: by lower-case names.

    The body is taken as it came: parsed and written again, its signature would be another one.
    """
    message_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    is_time = timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12
    if not is_time or abs(int(timestamp) - (time.time() if now is None else now)) > TOLERANCE:
        raise NotGenuine("its time is not now")
    signed = f"{message_id}.{timestamp}.".encode() + body
    told = [each.encode() for each in headers.get("webhook-signature", "").split()]
    for secret in secrets:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        right = b"v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256))
        if any(hmac.compare_digest(each, right) for each in told):
            return message_id
    raise NotGenuine("no signature of it is right")


class Rides:
    """The rides as they are known here, in a file. Every method may be called by any thread."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.executescript(_TABLES)
        long_ago = time.time() - REMEMBERED
        self._database.execute("DELETE FROM seen WHERE at < ?", [long_ago])

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @property
    def cursor(self) -> str | None:
        """Up to where changes were read."""
        with self._lock:
            row = self._database.execute("SELECT cursor FROM place").fetchone()
        return row[0] if row else None

    def take(self, message_id: str, message: dict[str, Any]) -> bool:
        """Keep what a message says; False for one that was taken before."""
        kind, data = message["type"], message["data"]
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            new = self._database.execute(
                "INSERT OR IGNORE INTO seen VALUES (?, ?)", [message_id, time.time()]
            )
            if new.rowcount and kind == "workout.deleted":
                self._forget(data["id"])
            elif new.rowcount and kind in ("workout.completed", "workout.updated"):
                self._keep(data)
            return new.rowcount > 0

    def take_changes(self, changes: list[dict[str, Any]], cursor: str, *, is_first: bool) -> None:
        """Keep what has changed, and up to where that was. ``is_first``: nothing else is there."""
        with self._lock, self._database:
            self._database.execute("BEGIN IMMEDIATE")
            if is_first:
                self._database.execute("DELETE FROM rides")
                self._database.execute("DELETE FROM deleted")
            for change in changes:
                if change["deleted"]:
                    self._forget(change["id"])
                elif "workout" in change:
                    self._keep(change["workout"])
            self._database.execute("DELETE FROM place")
            self._database.execute("INSERT INTO place VALUES (?)", [cursor])

    def _keep(self, ride: dict[str, Any]) -> None:
        """Unless changes have told of a later state of it before, or that it is deleted."""
        its_id = [ride["id"]]
        if self._database.execute("SELECT id FROM deleted WHERE id = ?", its_id).fetchone():
            return
        known = self._database.execute("SELECT ride FROM rides WHERE id = ?", its_id).fetchone()
        if known is None or updated(json.loads(known[0])) <= updated(ride):
            self._database.execute(
                "INSERT OR REPLACE INTO rides VALUES (?, ?)", [ride["id"], json.dumps(ride)]
            )

    def _forget(self, ride_id: str) -> None:
        self._database.execute("DELETE FROM rides WHERE id = ?", [ride_id])
        self._database.execute("INSERT OR IGNORE INTO deleted VALUES (?)", [ride_id])


def updated(ride: dict[str, Any]) -> datetime:
    """When it was changed last. As texts, moments with and without fractions compare wrongly."""
    return datetime.fromisoformat(ride["updatedAt"])


def changes_since(
    url: str, key: str, cursor: str | None
) -> Iterator[tuple[list[dict[str, Any]], str, bool]]:
    """The pages of what has changed, each with the place after it, and whether all begins anew."""
    is_first, more = cursor is None, True
    while more:
        query = urlencode({"since": cursor} if cursor else {})
        request = Request(f"{url}/api/changes?{query}", headers={"X-API-Key": key})
        try:
            with urlopen(request, timeout=60) as response:
                answer = json.load(response)
        except HTTPError as error:
            if error.code != HTTPStatus.GONE or cursor is None:
                raise
            cursor, is_first = None, True  # the database was restored: all of it again
            continue
        yield answer["changes"], answer["cursor"], is_first
        cursor, more, is_first = answer["cursor"], answer["more"], False


def catch_up(rides: Rides, url: str, key: str) -> None:
    """Keep and print what has changed since the last time."""
    for changes, cursor, is_first in changes_since(url, key, rides.cursor):
        rides.take_changes(changes, cursor, is_first=is_first)
        for change in changes:
            print_line("deleted" if change["deleted"] else "changed", change)


def print_line(what: str, told: dict[str, Any]) -> None:
    """One thing that was told, in a line."""
    ride = told.get("workout", told)
    figures = ride.get("summary") or {}
    power, energy = figures.get("avgPower"), figures.get("totalEnergy")
    parts = [what, told.get("kind", ""), str(ride.get("id", "")), ride.get("title") or ""]
    parts += [f"{power:.0f} W"] if power is not None else []
    parts += [f"{energy:.0f} kJ"] if energy is not None else []
    print(" ".join(part for part in parts if part), flush=True)


class Server(ThreadingHTTPServer):
    """Listens; ``told`` are the messages that are on disk and not printed yet."""

    def __init__(self, rides: Rides, secrets: list[str], port: int) -> None:
        super().__init__(("127.0.0.1", port), Receiver)
        self.rides, self.secrets = rides, secrets
        self.told = queue.Queue[dict[str, Any]]()

    def print_told(self) -> None:
        """For ever."""
        while True:
            message = self.told.get()
            print_line(message["type"], message["data"])


class Receiver(BaseHTTPRequestHandler):
    """Takes one message."""

    server: Server
    timeout = 30  # seconds for somebody who does not go on

    def do_POST(self) -> None:
        """Keep a message that is genuine, and answer at once."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit() and int(length) <= MOST_BODY):
            self.answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        body = self.rfile.read(int(length))
        try:
            told = {name.lower(): text for name, text in self.headers.items()}
            message_id = verify(self.server.secrets, told, body)
        except NotGenuine as error:
            print(f"refused a message: {error}", flush=True)
            self.answer(HTTPStatus.UNAUTHORIZED)
            return
        message = json.loads(body)
        if self.server.rides.take(message_id, message):
            self.server.told.put(message)
        self.answer(HTTPStatus.NO_CONTENT)

    def answer(self, status: HTTPStatus) -> None:
        """Without a body."""
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing of each request."""


def serve(rides: Rides, secrets: list[str], port: int) -> None:
    """Listen until interrupted."""
    with Server(rides, secrets, port) as server:
        threading.Thread(target=server.print_told, daemon=True).start()
        print(f"listening at http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


def main() -> None:
    """Catch up, then listen."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--port", type=int, default=9000, help="0: any that is free")
    parser.add_argument("--file", type=Path, default=Path("rides.db"))
    asked = parser.parse_args()
    url, key, secrets = (os.environ[each] for each in ("API_URL", "API_KEY", "WEBHOOK_SECRET"))
    with closing(Rides(asked.file)) as rides:
        catch_up(rides, url.rstrip("/"), key)
        try:
            serve(rides, secrets.split(), asked.port)
        except KeyboardInterrupt:
            print("interrupted; the next run catches up")


if __name__ == "__main__":
    main()
