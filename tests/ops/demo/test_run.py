"""`make run` and `make demo`, as a newcomer meets them."""

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis

from ops.demo.ride_simulator import simulate_ride
from tests.api.files.ride_files import fit
from tests.conftest import ROOT, run_ops
from tests.shared.monitoring.scraping import scrape, total

T0 = 1_700_000_000_000


@contextmanager
def running(data_dir: Path, **variables: str) -> Iterator[dict[str, Any]]:
    """`make run` in the background; yields what it wrote to run.json."""
    environ = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "output").open("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops", "run"],
            cwd=ROOT,
            env={**environ, "DATA_DIR": str(data_dir), **variables},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield _await_run_file(data_dir / "run.json", process, Path(output.name))
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0, Path(output.name).read_text()


def _await_run_file(path: Path, process: subprocess.Popen[bytes], output: Path) -> dict[str, Any]:
    deadline = time.monotonic() + 90
    while not path.exists():
        assert process.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        time.sleep(0.05)
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def workouts(run: dict[str, Any]) -> list[dict[str, Any]]:
    answer = httpx2.get(f"{run['url']}/api/workouts", headers={"X-API-Key": run["apiKey"]})
    found: list[dict[str, Any]] = answer.json()["workouts"]
    return found


def front_ride(run: dict[str, Any]) -> str | None:
    """The ride that the front page invites to look at."""
    found = re.search('href="(/shared/[^"]+)">Look at a ride', httpx2.get(run["url"]).text)
    return found[1] if found else None


def shared_address(run: dict[str, Any]) -> str:
    """That of a new link to the ride."""
    path = f"{run['url']}/api/workouts/{workouts(run)[0]['id']}/share"
    answer = httpx2.post(path, json={}, headers={"X-API-Key": run["apiKey"]})
    url: str = answer.raise_for_status().json()["url"]
    return url


def free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_the_demo_ends_well_once_its_ride_is_completed(data_dir: Path) -> None:
    done = run_ops("run", "--once", data_dir=data_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "COMPLETED" in done.stdout
    assert "3,420" in done.stdout  # an hour at 1 Hz, less a stop of three minutes
    assert "Key   bpt_" in done.stdout
    assert re.search(
        r"Open  http://127\.0\.0\.1:\d+   in a browser\n +Make an account", done.stdout
    )
    assert re.search(r"Look  http://127\.0\.0\.1:\d+/shared/[\w-]{43}   ", done.stdout)


def test_run_serves_until_told_to_stop_and_plays_its_ride_once(data_dir: Path) -> None:
    with running(data_dir, PORT=free_port()) as first:  # the usual one is others' as well
        assert [w["status"] for w in workouts(first)] == ["COMPLETED"]
        assert httpx2.get(f"{first['url']}/docs").is_success
        link = front_ride(first)
        assert link is not None
        assert "Simulated ride" in httpx2.get(first["url"] + link).text
        assert shared_address(first).startswith(f"{first['url']}/shared/")
        figures = scrape(first["metricsUrl"])
        assert total(figures, "bpt_samples_total") == 3420
        assert total(figures, "bpt_job_seconds_count", kind="fold", outcome="done") >= 1
        assert total(figures, "bpt_workers") == 2
    assert not (data_dir / "run.json").exists()
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{first['url']}/health/live")
    with running(data_dir) as second:
        assert second["apiKey"] == first["apiKey"]
        assert front_ride(second) == link
        (workout,) = workouts(second)
        assert workout["status"] == "COMPLETED"
        address = f"{second['url']}/api/workouts/{workout['id']}"
        assert f"was played before: {address}" in (data_dir / "output").read_text()
        httpx2.delete(address, headers={"X-API-Key": second["apiKey"]}).raise_for_status()
        assert front_ride(second) is None
    with running(data_dir) as third:
        assert workouts(third) == []
        assert front_ride(third) is None
    assert "was played before, and is deleted" in (data_dir / "output").read_text()


def test_a_worker_or_an_api_that_is_killed_is_started_anew(data_dir: Path) -> None:
    with running(data_dir, RIDE="none") as run:
        assert workouts(run) == []
        listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True)
        rows = [line.split(maxsplit=2) for line in listed.stdout.splitlines()[1:]]
        parents = {ppid for _, ppid, args in rows if args.endswith("-m api")}
        kinds = ("-m api", "-m worker")
        ours = [row for row in rows if row[1] in parents and row[2].endswith(kinds)]
        ours = [row for row in ours if str(data_dir) in _environ(row[0])]
        assert len(ours) == 3  # the API and two workers
        for pid, _, _ in ours:
            os.kill(int(pid), signal.SIGKILL)
        headers = {"X-API-Key": run["apiKey"]}
        with httpx2.Client(base_url=run["url"], headers=headers, timeout=30) as client:
            created = client.post("/api/workouts").json()["workout"]["id"]
            done = client.post(f"/api/workouts/{created}/complete", params={"wait": "30"})
        assert done.json()["workout"]["status"] == "COMPLETED"


def test_run_starts_its_servers_again_when_they_are_killed_and_says_so(data_dir: Path) -> None:
    with running(data_dir) as run:
        for pid in _servers_of(data_dir):
            os.kill(pid, signal.SIGKILL)
        headers = {"X-API-Key": run["apiKey"]}
        with httpx2.Client(base_url=run["url"], headers=headers, timeout=30) as client:
            _await(lambda: client.get("/health/ready").is_success)
            created = client.post("/api/workouts").json()["workout"]["id"]
            done = client.post(f"/api/workouts/{created}/complete", headers={"Prefer": "wait=30"})
        assert done.json()["workout"]["status"] == "COMPLETED"
    said = (data_dir / "output").read_text()
    assert re.search(r"^postgres \d+ ended \(-9\); starting another", said, re.MULTILINE)
    assert re.search(r"^valkey-server \d+ ended \(-9\); starting another", said, re.MULTILINE)


def _servers_of(data_dir: Path) -> list[int]:
    home, sockets = data_dir / "postgres", (data_dir / "sockets").read_text()
    postgres = (home.resolve() / "cluster" / "postmaster.pid").read_text().splitlines()[0]
    with redis.Redis(unix_socket_path=f"{sockets}/valkey.sock") as client:
        return [int(postgres), client.info("server")["process_id"]]


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _environ(pid: str) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


def test_two_runs_side_by_side_and_a_file_of_ones_own(tmp_path: Path, data_dir: Path) -> None:
    ride = tmp_path / "steady.ndjson.gz"
    lines = [json.dumps({"timestamp": T0 + 1000 * s, "power": 250}) for s in range(120)]
    ride.write_bytes(gzip.compress("\n".join(lines).encode()))
    with (
        running(data_dir / "one", RIDE=str(ride)) as one,
        running(data_dir / "two") as two,
    ):
        assert one["url"] != two["url"]
        summary = workouts(one)[0]["summary"]
        assert (summary["normalizedPower"], summary["totalEnergy"]) == (250, 30)
        assert workouts(two)[0]["summary"]["sampleCount"] == 3420
        assert front_ride(one) is None  # one's own ride is shown to nobody
        assert front_ride(two) is not None


def test_a_port_that_is_taken_is_named(data_dir: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run_ops("run", "--once", data_dir=data_dir, PORT=port)
    assert done.returncode != 0
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "RIDE must be a file that can be read, or none, not "),
        (b'{"timestamp": 1}\n', "before the year 2000"),
    ],
)
def test_a_ride_that_cannot_be_played_fails_the_demo(
    tmp_path: Path, data_dir: Path, content: bytes | None, complaint: str
) -> None:
    ride = tmp_path / "bad.ndjson"
    if content is not None:
        ride.write_bytes(content)
    done = run_ops("run", "--once", data_dir=data_dir, RIDE=str(ride))
    assert done.returncode != 0
    assert complaint in done.stderr


def test_a_file_goes_in_as_a_rider_sends_it_and_one_without_a_ride_starts_nothing(
    tmp_path: Path, data_dir: Path
) -> None:
    """600 s at 200 W are 120 kJ."""
    ride = tmp_path / "[evening].fit.gz"
    ride.write_bytes(gzip.compress(fit(600)))
    done = run_ops("run", "--once", data_dir=data_dir, RIDE=str(ride))
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Work +│ +120 kJ", done.stdout)
    again = run_ops("run", "--once", data_dir=data_dir, RIDE=str(ride))
    assert again.returncode == 0
    assert "this very file was sent before" in again.stdout
    assert re.search(r"Work +│ +120 kJ", again.stdout)
    ride.write_bytes(b"no ride")
    nothing = run_ops("run", "--once", data_dir=data_dir / "fresh", RIDE=str(ride))
    assert nothing.returncode != 0
    assert "neither a FIT" in nothing.stderr
    assert not (data_dir / "fresh").exists()


def test_the_simulated_ride_is_the_same_every_time_and_plausible() -> None:
    ride = simulate_ride(T0)
    assert ride == simulate_ride(T0)
    assert ride[0]["timestamp"] == T0
    assert ride[-1]["timestamp"] == T0 + 3_599_000
    steps = [b["timestamp"] - a["timestamp"] for a, b in pairwise(ride)]
    assert sorted(set(steps)) == [1000, 181_000]  # one stop, 180 s long
    assert sum("power" not in sample for sample in ride) == 25  # the drop-out
    assert sum(sample.get("power") == 0 for sample in ride) == 60  # coasting
    assert all(60 <= sample["heartrate"] <= 200 for sample in ride)
    assert all(0 <= sample["speed"] <= 20 for sample in ride)
