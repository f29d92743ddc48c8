"""The client that device makers copy: every sample handed to it is in the ride, whatever fails."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from examples.device_client import Device, Trouble
from tests.conftest import ROOT, Rider
from tests.examples.rides import (
    HURRIED,
    assert_one_ride,
    device_of,
    held,
    rides_of,
    rows,
    upload_key,
)
from tests.faults.proxy import Proxy
from tests.faults.system import System
from tests.worker.waiting import eventually


@pytest.fixture
def way(system: System) -> Iterator[Proxy]:
    """The network between the device and the API."""
    proxy = Proxy(urlsplit(system.url).port or 0)
    yield proxy
    proxy.close()


@contextmanager
def device_on(way: Proxy, rider: Rider, file: Path) -> Iterator[tuple[Device, list[Trouble]]]:
    troubles: list[Trouble] = []
    url = f"http://127.0.0.1:{way.port}"
    with closing(device_of(rider, file, url, troubles)) as device:
        yield device, troubles


def test_an_api_that_is_killed_again_and_again_costs_a_device_nothing(
    system: System, way: Proxy, tmp_path: Path
) -> None:
    system.start_api()
    system.start_worker()
    rider = system.make_rider()
    with device_on(way, rider, tmp_path / "rides.db") as (device, troubles):
        device.start()
        for part in range(3):
            device.add(*rows(30, 60 * part))
            eventually(lambda: device.unsent == 0)
            system.kill_api()
            device.add(*rows(30, 60 * part + 30))
            kill_over_an_upload(system, troubles)
            system.start_api()
        device.complete()
        assert device.wait(60)
    assert_one_ride(rider, rows(180))


def kill_over_an_upload(system: System, troubles: list[Trouble]) -> None:
    """An API that stores what the device sends, and dies before it says so."""
    told = len(troubles)
    api = system.launch_api(FAILPOINT="after-append=kill")
    assert api.wait(60) == -signal.SIGKILL
    eventually(lambda: len(troubles) > told)


@pytest.mark.parametrize(
    "request_line", [b"PUT /api/workouts/", b"/telemetry", b"/complete", b"/receipt"]
)
def test_a_lost_answer_costs_a_device_nothing(
    system: System, way: Proxy, tmp_path: Path, request_line: bytes
) -> None:
    system.start_api()
    system.start_worker()
    rider = system.make_rider()
    way.lose_reply_to(request_line)
    with device_on(way, rider, tmp_path / "rides.db") as (device, _):
        device.start()
        device.add(*rows(60))
        device.complete()
        assert device.wait(60)
    assert way.lost == 1
    assert_one_ride(rider, rows(60))
    assert rider.client.get("/api/workouts").json()["pagination"]["total"] == 1


def test_a_ride_that_was_begun_and_ended_offline_arrives_later(
    system: System, way: Proxy, tmp_path: Path
) -> None:
    system.start_api()
    system.start_worker()
    rider = system.make_rider()
    way.refuse()
    with device_on(way, rider, tmp_path / "rides.db") as (device, troubles):
        device.start()
        device.add(*rows(2500))  # several batches
        device.complete()
        eventually(lambda: len(troubles) > 3)
    way.restore()
    with device_on(way, rider, tmp_path / "rides.db") as (device, _):
        assert not device.riding
        assert device.wait(60)
    assert_one_ride(rider, rows(2500))


def test_a_device_makes_good_what_redis_lost(system: System, way: Proxy, tmp_path: Path) -> None:
    """Though by what came after the loss, the receipt says that all is durable up to there."""
    system.start_api()
    system.start_worker(CHECKPOINT_INTERVAL="1")
    rider = system.make_rider()
    with device_on(way, rider, tmp_path / "rides.db") as (device, troubles):
        device.start()
        device.add(*rows(60))
        eventually(lambda: device.kept == 0)
        system.kill_workers()
        device.add(*rows(30, 60))
        eventually(lambda: device.unsent == 0)
        assert device.kept == 30
        way.refuse()
        system.redis_client.flushall()
        device.add(*rows(10, 90))
        device.complete()
        system.start_worker()
        way.restore()
        assert device.wait(60)
    assert [str(each) for each in troubles if "lost" in str(each)] == [
        "the server may have lost 30 samples: sending again"
    ]
    assert_one_ride(rider, rows(100))


RECORDER = """
import json, sys
from pathlib import Path
from examples.device_client import Device
device = Device(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
if not device.riding:
    device.start()
for line in sys.stdin:
    device.add(json.loads(line))
    print(line, end="", flush=True)
"""


def test_a_device_that_is_killed_goes_on_with_the_ride(system: System, tmp_path: Path) -> None:
    """What ``add`` returned for is in the ride, even if it never left the device before."""
    system.start_api()
    system.start_worker()
    rider = system.make_rider()
    file, key = tmp_path / "rides.db", upload_key(rider.client)
    system.kill_api()
    for part in range(3):
        ride_and_be_killed(system.url, key, file, rows(50, 50 * part))
        if part == 0:
            system.start_api()
    with closing(Device(system.url, key, file, pace=HURRIED)) as device:
        assert device.riding
        device.complete()
        assert device.wait(60)
    assert_one_ride(rider, rows(150))


def ride_and_be_killed(url: str, key: str, file: Path, ride: list[dict[str, object]]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", RECORDER, url, key, str(file)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("".join(json.dumps(row) + "\n" for row in ride))
        process.stdin.flush()
        for _ in ride:
            assert process.stdout.readline()
        process.kill()


def test_a_ride_that_failed_holds_up_no_other_and_is_asked_for_again(
    system: System, way: Proxy, tmp_path: Path
) -> None:
    system.start_api()
    system.start_worker()
    rider = system.make_rider()
    with device_on(way, rider, tmp_path / "rides.db") as (device, troubles):
        device.start()
        device.add(*rows(10))
        eventually(lambda: device.receipt is not None and device.unsent == 0)
        system.execute("UPDATE workouts SET status = 'FAILED'")
        device.start()
        device.add(*rows(10, 1000))
        device.complete()
        eventually(lambda: {ride["status"] for ride in rides_of(rider)} == {"FAILED", "COMPLETED"})
        assert 409 in {trouble.status for trouble in troubles}
        system.execute("UPDATE workouts SET status = 'ACTIVE' WHERE status = 'FAILED'")
        assert device.wait(60)
    assert [held(rider, ride["id"]) for ride in rides_of(rider)] == [rows(10, 1000), rows(10)]


def test_a_batch_that_is_too_large_goes_in_halves(
    system: System, way: Proxy, tmp_path: Path
) -> None:
    system.start_api(MAX_BATCH_SAMPLES="10")
    system.start_worker()
    rider = system.make_rider()
    with device_on(way, rider, tmp_path / "rides.db") as (device, _):
        device.start()
        device.add(*rows(100))
        device.complete()
        assert device.wait(60)
    assert_one_ride(rider, rows(100))
