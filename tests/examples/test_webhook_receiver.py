"""The receiver that people copy, told by a real worker of a real service."""

import ast
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import IO, Any

import httpx2
import pytest
from standardwebhooks import Webhook

from examples.webhook_receiver import TOLERANCE, NotGenuine, Rides, verify
from shared.webhooks import EVENTS, make_secret, sign
from tests.api.answers import eventually, seconds_of
from tests.conftest import ROOT, Rider

RECEIVER = ROOT / "examples" / "webhook_receiver.py"
BODY = b'{"type": "workout.deleted", "data": {"id": "x"}}'


class Running:
    """A receiver. ``lines``: what it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines, self._news = list[str](), Queue[str]()
        assert process.stdout
        Thread(target=self._read, args=[process.stdout], daemon=True).start()
        self.url = self.wait_for("listening at ").split()[-1]

    def _read(self, out: IO[str]) -> None:
        for line in out:
            self._news.put(line)

    def wait_for(self, part: str) -> str:
        """The line that has it, once it is there."""
        while not (found := [line for line in self.lines if part in line]):
            self.lines.append(self._news.get(timeout=60).strip())
        return found[0]


@pytest.fixture
def secret() -> str:
    return make_secret()


@pytest.fixture
def receiving(service: str, rider: Rider, tmp_path: Path) -> Callable[..., Any]:
    """Runs a receiver with a key that only reads, and some secrets."""
    wanted = {"name": "receiver", "scopes": ["read"]}
    key = rider.client.post("/api/keys", json=wanted).json()["secret"]

    @contextmanager
    def run(*secrets: str, port: int = 0) -> Iterator[Running]:
        environ = {"API_URL": service, "API_KEY": key, "WEBHOOK_SECRET": " ".join(secrets)}
        command = [sys.executable, str(RECEIVER), "--port", str(port)]
        command += ["--file", str(tmp_path / "rides.db")]
        with subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            try:
                yield Running(process)
            finally:
                process.send_signal(signal.SIGINT)
                assert process.wait(30) == 0

    return run


def kept(folder: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(folder / "rides.db")) as database:
        return {row[0]: json.loads(row[1]) for row in database.execute("SELECT * FROM rides")}


def make(rider: Rider, url: str) -> dict[str, Any]:
    wanted = {"url": url, "events": list(EVENTS)}
    made = rider.client.post("/api/webhooks", json=wanted)
    assert made.status_code == 201, made.text
    answer: dict[str, Any] = made.json()
    return answer


def ride_of(rider: Rider, title: str) -> str:
    ride = rider.start(title=title)
    rider.upload(ride, seconds_of(200, 600))
    rider.complete(ride)
    return ride


def test_it_needs_nothing_but_python() -> None:
    imported = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(RECEIVER.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= sys.stdlib_module_names


def test_it_catches_up_and_then_hears_of_every_ride(
    rider: Rider, receiving: Callable[..., Any], tmp_path: Path
) -> None:
    before = ride_of(rider, "before")
    with receiving(make_secret()) as first:  # of which nobody knows
        first.wait_for(f"changed workout {before} before 200 W 120 kJ")
        port = int(first.url.rpartition(":")[2])
    meanwhile = ride_of(rider, "meanwhile")
    rider.client.delete(f"/api/workouts/{before}")
    made = make(rider, f"http://127.0.0.1:{port}/rides")
    with receiving(made["secret"], port=port) as running:
        running.wait_for(f"changed workout {meanwhile} meanwhile 200 W")
        running.wait_for(f"deleted workout {before}")
        told = ride_of(rider, "told")
        running.wait_for(f"workout.completed {told} told 200 W 120 kJ")
        rider.client.patch(f"/api/workouts/{told}", json={"title": "renamed"})
        running.wait_for(f"workout.updated {told} renamed")
        rider.client.delete(f"/api/workouts/{meanwhile}")
        running.wait_for(f"workout.deleted {meanwhile}")
        now = kept(tmp_path)
        place = f"/api/webhooks/{made['webhook']['id']}/deliveries"
        eventually(lambda: statuses(rider, place) == {"delivered"})
        rotated = rider.client.post(f"{place.removesuffix('/deliveries')}/rotate", json={}).json()
        rider.client.patch(f"/api/workouts/{told}", json={"title": "under both secrets"})
        running.wait_for(f"workout.updated {told} under both secrets")
    assert list(now) == [told]
    assert now[told]["title"] == "renamed"
    rider.client.post(f"{place.removesuffix('/deliveries')}/rotate", json={"overlap": 0})
    with receiving(rotated["secret"], port=port) as running:  # a secret that has ended
        rider.client.patch(f"/api/workouts/{told}", json={"title": "for the new one"})
        running.wait_for("refused a message: no signature of it is right")


def statuses(rider: Rider, place: str) -> set[str]:
    return {each["status"] for each in rider.client.get(place).json()["deliveries"]}


def test_a_message_counts_once_and_one_that_is_forged_or_old_not_at_all(
    secret: str, receiving: Callable[..., Any]
) -> None:
    now = int(time.time())
    with receiving(secret) as running:
        for _ in range(2):
            assert send(running.url, secret, "msg_1", now) == 204
        assert send(running.url, make_secret(), "msg_2", now) == 401
        assert send(running.url, secret, "msg_3", now - TOLERANCE - 60) == 401
        assert httpx2.post(running.url, content=BODY).status_code == 401
        assert send(running.url, secret, "msg_4", now) == 204
        running.wait_for("its time is not now")
        eventually(lambda: told(running) == 2)


def told(running: Running) -> int:
    while not running._news.empty():
        running.lines.append(running._news.get())
    return len([line for line in running.lines if "workout.deleted" in line])


def send(url: str, secret: str, message_id: str, timestamp: int) -> int:
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, message_id, timestamp, BODY),
    }
    return httpx2.post(url, content=BODY, headers=headers).status_code


def test_it_verifies_as_the_library_does(secret: str) -> None:
    now = int(time.time())
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(now),
        "webhook-signature": f"v1,AAAA {sign(secret, 'msg_1', now, BODY)}",
    }
    Webhook(secret).verify(BODY, headers)
    assert verify([make_secret(), secret], headers, BODY) == "msg_1"
    for wrong in (
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(now + 1)},
        {"webhook-timestamp": "now"},
        {"webhook-signature": "v1,é"},
        {"webhook-signature": ""},
    ):
        with pytest.raises(NotGenuine):
            verify([secret], {**headers, **wrong}, BODY)
    with pytest.raises(NotGenuine):
        verify([secret], headers, BODY + b" ")


def test_a_message_that_is_older_than_what_changes_told_changes_nothing(tmp_path: Path) -> None:
    """Nor does it bring back a ride that is deleted; that of a restored database may be there."""
    early = {"id": "a", "updatedAt": "2026-05-17T16:30:00Z", "title": "early"}
    late = {**early, "updatedAt": "2026-05-17T16:30:00.250000Z", "title": "late"}

    def take(message_id: str, ride: dict[str, Any]) -> None:
        rides.take(message_id, {"type": "workout.updated", "data": ride})

    with closing(Rides(tmp_path / "rides.db")) as rides:
        change = {"kind": "workout", "id": "a", "deleted": False, "workout": late}
        rides.take_changes([change], "1", is_first=True)
        take("msg_1", early)
        assert kept(tmp_path)["a"]["title"] == "late"
        take("msg_2", {**late, "updatedAt": "2026-05-17T16:30:01Z", "title": "latest"})
        assert kept(tmp_path)["a"]["title"] == "latest"
        rides.take_changes([{"kind": "workout", "id": "a", "deleted": True}], "2", is_first=False)
        take("msg_3", late)
        assert kept(tmp_path) == {}
        rides.take_changes([change], "3", is_first=True)
        assert kept(tmp_path)["a"]["title"] == "late"
