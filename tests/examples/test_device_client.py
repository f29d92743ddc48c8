"""The client that device makers copy, on a service that works; the faults are in tests/faults."""

import ast
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path

import pytest

from examples.device_client import Device, Trouble, simulate
from tests.conftest import ROOT, Rider
from tests.examples.rides import (
    HURRIED,
    Row,
    assert_one_ride,
    device_of,
    held,
    rides_of,
    rows,
    upload_key,
)
from tests.worker.readings import T0
from tests.worker.waiting import eventually

CLIENT = ROOT / "examples" / "device_client.py"


@pytest.fixture
def troubles() -> list[Trouble]:
    """What the device tells of."""
    return []


@pytest.fixture
def device(rider: Rider, service: str, tmp_path: Path, troubles: list[Trouble]) -> Iterator[Device]:
    with closing(device_of(rider, tmp_path / "rides.db", service, troubles)) as device:
        yield device


def refusals(troubles: list[Trouble]) -> list[int]:
    """The statuses, but for what a busy machine may cause: no answer in time, or a 503."""
    return [trouble.status for trouble in troubles if trouble.status not in (0, 503)]


def test_the_client_needs_nothing_but_httpx2() -> None:
    imported = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(CLIENT.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - sys.stdlib_module_names == {"httpx2"}


def test_every_sample_of_a_ride_arrives(
    device: Device, rider: Rider, troubles: list[Trouble]
) -> None:
    device.start(title="Evening ride", sport="cycling")
    for row in rows(200):
        device.add(row)
    device.complete()
    assert device.wait(60)
    assert_one_ride(rider, rows(200))
    assert rides_of(rider)[0]["title"] == "Evening ride"
    assert refusals(troubles) == []


def test_a_clock_that_is_set_back_and_on_costs_nothing(device: Device, rider: Rider) -> None:
    """The later part of the ride has the earlier timestamps, once with those of the first."""
    device.start()
    for begin in (3600, 0, 3630, 30, 3600):
        device.add(*rows(30, begin))
        eventually(lambda: device.receipt is not None and device.unsent == 0)
    device.complete()
    assert device.wait(60)
    assert_one_ride(rider, [*rows(60, 3600), *rows(60)])


def test_a_later_sample_of_the_same_time_corrects_what_it_measured(
    device: Device, rider: Rider
) -> None:
    device.start()
    device.add({"timestamp": T0, "power": 200, "cadence": 90})
    eventually(lambda: device.unsent == 0)
    device.add({"timestamp": T0, "power": 210, "heartrate": None})
    device.complete()
    assert device.wait(60)
    assert_one_ride(rider, [{"timestamp": T0, "power": 210.0, "cadence": 90.0}])


@pytest.mark.parametrize(
    "bad",
    [
        {"timestamp": T0 + 50_500, "power": "many"},
        {"timestamp": T0 + 50_500, "power": -1},
        {"timestamp": T0 + 50_500, "power": float("nan")},
    ],
)
def test_a_bad_reading_is_left_out_and_the_rest_of_its_sample_stored(
    device: Device, rider: Rider, bad: Row
) -> None:
    device.start()
    device.add(*rows(50), {**bad, "cadence": 90.0}, *rows(50, 51))
    device.complete()
    assert device.wait(60)
    middle = {"timestamp": T0 + 50_500, "cadence": 90.0}
    assert_one_ride_with_nulls(rider, [*rows(50), middle, *rows(50, 51)])


def assert_one_ride_with_nulls(rider: Rider, expected: list[Row]) -> None:
    [ride] = rides_of(rider)
    got = [{k: v for k, v in row.items() if v is not None} for row in held(rider, ride["id"])]
    assert (ride["status"], got) == ("COMPLETED", expected)


@pytest.mark.parametrize(
    "bad",
    [
        [{"timestamp": 4_000_000_000_000, "power": 200}],  # in the year 2096
        [{"timestamp": 1000 * second, "power": 200} for second in range(1, 300)],  # 1970
        [{"timestamp": T0 + 50_500, "note": "\ud800"}],
    ],
)
def test_samples_that_cannot_be_stored_do_not_hold_up_the_ride(
    device: Device, rider: Rider, troubles: list[Trouble], bad: list[Row]
) -> None:
    device.start()
    device.add(*rows(50), *bad, *rows(50, 51))
    device.complete()
    assert device.wait(60)
    assert_one_ride(rider, [*rows(50), *rows(50, 51)])
    assert troubles != []


def test_what_is_no_timestamp_is_refused_at_once(device: Device) -> None:
    device.start()
    for timestamp in (None, True, "yesterday", "2026-01-01T00:00:00", float("nan"), -1, 10**5000):
        with pytest.raises(ValueError, match=r"."):
            device.add({"timestamp": timestamp, "power": 200})
    device.add({"timestamp": "2026-01-01T00:00:00Z"}, {"power": 200})


def test_a_title_that_is_refused_does_not_hold_up_the_ride(device: Device, rider: Rider) -> None:
    device.start(title="x" * 1000)
    device.add(*rows(10))
    device.complete()
    assert device.wait(60)
    assert_one_ride(rider, rows(10))


def test_nothing_is_added_to_no_ride(device: Device) -> None:
    with pytest.raises(RuntimeError, match="no ride is under way"):
        device.add(*rows(1))


def test_two_devices_cannot_share_a_file(device: Device, service: str, tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        Device(service, "", tmp_path / "rides.db")


def test_a_new_start_completes_the_ride_before_it(device: Device, rider: Rider) -> None:
    for begin in (0, 1000):
        device.start()
        device.add(*rows(10, begin))
    device.complete()
    assert device.wait(60)
    rides = rides_of(rider)
    assert [ride["status"] for ride in rides] == ["COMPLETED"] * 2
    assert [held(rider, ride["id"]) for ride in rides] == [rows(10, 1000), rows(10)]


def test_a_device_keeps_what_a_revoked_key_cannot_send_until_it_has_another(
    rider: Rider, service: str, tmp_path: Path, troubles: list[Trouble]
) -> None:
    wrong = "bpt_nobody_" + "0" * 43
    pace = HURRIED._replace(slow=1000)
    with closing(Device(service, wrong, tmp_path / "rides.db", troubles.append, pace)) as device:
        device.start()
        device.add(*rows(10))
        device.complete()
        eventually(lambda: 401 in refusals(troubles))
        device.use_key(upload_key(rider.client))
        assert device.wait(60)
    assert_one_ride(rider, rows(10))


def test_a_deleted_ride_is_kept_here_and_holds_up_no_other(
    device: Device, rider: Rider, troubles: list[Trouble]
) -> None:
    device.start()
    device.add(*rows(10))
    eventually(lambda: bool(device.receipt and device.receipt["sampleCount"] == 10))
    [ride] = rides_of(rider)
    assert rider.client.delete(f"/api/workouts/{ride['id']}").is_success
    device.add(*rows(10, 10))
    eventually(lambda: 404 in refusals(troubles))
    device.start()
    device.add(*rows(10, 1000))
    device.complete()
    eventually(lambda: [each["status"] for each in rides_of(rider)] == ["COMPLETED"])
    assert_one_ride(rider, rows(10, 1000))
    assert device.unsent == 10
    assert refusals(troubles) == [404]  # and no more was asked of the deleted one


def test_what_a_portal_on_the_way_says_of_a_sample_is_not_believed(
    rider: Rider, service: str, tmp_path: Path, troubles: list[Trouble]
) -> None:
    file, key = tmp_path / "rides.db", upload_key(rider.client)
    with closing(Device(service, key, file, troubles.append, HURRIED)) as device:
        device.start()
        device.add(*rows(10))
        eventually(lambda: device.receipt is not None)
    statuses = (200, 302, 400, 404, 409, 413, 422)
    for status in statuses:
        with (
            portal(status) as (url, asked_at),
            closing(Device(url, key, file, troubles.append, HURRIED)) as device,
        ):
            device.add(*rows(1, 10 + status))
            eventually(lambda: len(asked_at) > 10)
    with closing(Device(service, key, file, troubles.append, HURRIED)) as device:
        device.complete()
        assert device.wait(60)
    late = [row for status in statuses for row in rows(1, 10 + status)]
    assert_one_ride(rider, [*rows(10), *late])


@pytest.mark.parametrize("status", [429, 503])
def test_a_device_waits_as_long_as_it_is_told(
    rider: Rider, service: str, tmp_path: Path, troubles: list[Trouble], status: int
) -> None:
    file, key = tmp_path / "rides.db", upload_key(rider.client)
    with (
        portal(status, "application/problem+json", retry_after=1) as (url, asked_at),
        closing(Device(url, key, file, troubles.append, HURRIED)) as device,
    ):
        device.start()
        device.add(*rows(10))
        device.complete()
        eventually(lambda: len(asked_at) > 2)
    assert all(after - before > 1 for before, after in pairwise(asked_at))
    with closing(Device(service, key, file, troubles.append, HURRIED)) as device:
        assert device.wait(60)
    assert_one_ride(rider, rows(10))


@contextmanager
def portal(
    status: int, content_type: str = "text/html", retry_after: int = 0
) -> Iterator[tuple[str, list[float]]]:
    """Gives one answer, whatever is asked: where it is, and the moments at which it was asked."""
    asked_at: list[float] = []

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked_at.append(time.monotonic())
            self.rfile.read(int(self.headers["content-length"] or 0))
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Retry-After", str(retry_after))
            self.send_header("Content-Length", "14")
            self.end_headers()
            self.wfile.write(b"<p>Log in</p>\n")

        do_GET = do_PUT = do_POST  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked_at
        finally:
            server.shutdown()
            thread.join()


def test_what_the_caller_does_with_a_trouble_does_not_stop_the_device(
    rider: Rider, service: str, tmp_path: Path
) -> None:
    def fail(trouble: Trouble) -> None:
        raise OSError("the display is off")

    key = upload_key(rider.client)
    with closing(Device(service, key, tmp_path / "rides.db", fail, HURRIED)) as device:
        device.start(title="x" * 1000)
        device.add(*rows(10))
        device.complete()
        assert device.wait(60)
    assert_one_ride(rider, rows(10))


def run_client(*arguments: str, key: str, lines: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, CLIENT, *arguments],
        env={"BPT_KEY": key},
        input=lines,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_example_plays_a_ride_and_prints_its_receipt(
    make_rider: Callable[[], Rider], service: str, tmp_path: Path
) -> None:
    rider = make_rider()
    file = str(tmp_path / "rides.db")
    done = run_client("--url", service, "--file", file, key=upload_key(rider.client))
    receipt = json.loads(done.stdout)
    assert receipt["sampleCount"] == len(list(simulate(600))) == 600
    assert receipt["durableThrough"] == receipt["receivedThrough"]
    assert [ride["status"] for ride in rides_of(rider)] == ["COMPLETED"]


def test_the_example_reads_samples_from_its_input(
    rider: Rider, service: str, tmp_path: Path
) -> None:
    odd = ["", "{", "[]", '{"timestamp": "noon"}', '{"heartRate": 140, "timestamp": 1}']
    lines = "\n".join([*map(json.dumps, rows(10)), *odd, *map(json.dumps, rows(10, 10))])
    file = str(tmp_path / "rides.db")
    key = upload_key(rider.client)
    done = run_client("--url", service, "--file", file, "--stdin", key=key, lines=lines)
    assert_one_ride(rider, rows(20))
    assert done.stderr.count("left out line") == 2
    assert "left out line 12: it is no sample" in done.stderr
    assert "left out {'timestamp': 'noon'}: a timestamp is Unix milliseconds" in done.stderr


def test_what_the_server_ignores_is_told_once(
    device: Device, rider: Rider, troubles: list[Trouble]
) -> None:
    device.start()
    for begin in (0, 10):
        device.add(*({**row, "heartRate": 140, "gear": 3} for row in rows(10, begin)))
        eventually(lambda: device.unsent == 0)
    device.complete()
    assert device.wait(60)
    assert_one_ride(rider, rows(20))
    told = [str(each) for each in troubles if "ignores" in str(each)]
    assert sorted(told) == [
        "the server ignores `gear` of samples: it has no such channel",
        "the server ignores `heartRate` of samples: did you mean `heartrate`?",
    ]


@pytest.mark.parametrize("content", [b"no database at all, " * 100, None])
def test_a_file_that_cannot_be_used_gets_one_line(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "rides.db"
    if content is None:
        with closing(sqlite3.connect(file)) as other:
            other.execute("CREATE TABLE rides (something TEXT)")
    else:
        file.write_bytes(content)
    command = [sys.executable, str(CLIENT), "--key", "k", "--file", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(f"cannot use {file}: it is damaged, or no file of rides;")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://host", "http://host/api", "http://", "http://[::1"]
)
def test_an_address_to_which_nothing_can_be_sent_stops_it_at_once(url: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(CLIENT),
        "--key",
        "k",
        "--url",
        url,
        "--file",
        f"{tmp_path}/r.db",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "--url is the service's address alone" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupted_client_says_one_line(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9"  # nobody serves there
    command = [
        sys.executable,
        str(CLIENT),
        "--key",
        "k",
        "--url",
        url,
        "--file",
        f"{tmp_path}/r.db",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as client:
        assert client.stderr
        assert "no answer" in client.stderr.readline()
        client.send_signal(signal.SIGINT)
        rest = client.stderr.read()
    assert client.returncode == 1
    assert rest.splitlines()[-1] == "interrupted; the next run goes on"
    assert "Traceback" not in rest
