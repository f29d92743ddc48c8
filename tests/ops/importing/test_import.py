"""`make import` on real servers: over an API that is there, and with servers of its own."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ops.importing.client import ImportClient, Kind
from ops.importing.run import IN_FLIGHT, import_all
from ops.importing.service import workers_run
from ops.importing.sources import Found, files_at, paths_of
from shared.files.takeouts import File
from tests.api.answers import T0, eventually, seconds_of
from tests.api.files.ride_files import WAIT, fit, gpx, tcx, zip_of
from tests.conftest import ROOT, Rider, kept_servers, run_ops

HOUR = 3_600_000
Import = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def import_for(service: str, data_dir: Path) -> Import:
    """Runs `make import` for a rider as it does for a stack: by its API and a key of it."""

    def run(rider: Rider, files: Path | str) -> subprocess.CompletedProcess[str]:
        return run_ops("import", data_dir=data_dir, FILES=str(files), **_stack(rider, service))

    return run


def _stack(rider: Rider, service: str) -> dict[str, str]:
    """The import revokes its key at its end, so it gets one of its own."""
    scopes = ["upload", "read", "admin"]
    made = rider.client.post("/api/keys", json={"name": "make import", "scopes": scopes})
    return {"IMPORT_URL": service, "IMPORT_KEY": made.json()["secret"], "COLUMNS": "200"}


def said(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """The counts of the closing table."""
    found = re.findall(r"│ ([a-z][^│]*?) +│ (\d+) files?", done.stdout)
    return {kind: int(count) for kind, count in found}


def workouts(rider: Rider) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = rider.client.get(
        "/api/workouts", params={"limit": 100, "sort": "startTime", "order": "asc"}
    ).json()["workouts"]
    return listed


def rides_in(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        data = gpx(60, T0 + number * HOUR, name=f"Ride {number}", power=100 + number)
        (folder / f"{number}.gpx").write_bytes(data)
    return folder


def test_a_first_import_needs_nothing_but_a_user(data_dir: Path, tmp_path: Path) -> None:
    folder = rides_in(tmp_path / "rides", 3)
    (folder / "other.gpx").write_bytes(b"<gpx></gpx>")
    early = run_ops("import", data_dir=data_dir, FILES=str(folder))
    assert "make migrate" in early.stderr
    run_ops("migrate", data_dir=data_dir)
    with kept_servers(data_dir):
        nobody = run_ops("import", data_dir=data_dir, FILES=str(folder))
        assert "make user EMAIL=" in nobody.stderr
        run_ops("user", data_dir=data_dir, EMAIL="me@example.com")
        done = run_ops("import", data_dir=data_dir, FILES=str(folder))
        assert done.returncode == 0, done.stdout + done.stderr
        assert said(done) == {"new": 3, "failed": 1}
        keys = "SELECT count(*) FROM api_keys WHERE name = 'make import' AND revoked_at IS NULL"
        left = run_ops("psql", "--", "-Atc", keys, data_dir=data_dir)
        assert left.stdout.strip() == "0"
        run_ops("user", data_dir=data_dir, EMAIL="you@example.com")
        whose = run_ops("import", data_dir=data_dir, FILES=str(folder))
        assert "USER=… of me@example.com, you@example.com" in whose.stderr
        unknown = run_ops(
            "import", "--user", "no@example.com", data_dir=data_dir, FILES=str(folder)
        )
        assert "there is no user 'no@example.com'" in unknown.stderr
        again = run_ops("import", "--user", "me@example.com", data_dir=data_dir, FILES=str(folder))
        assert said(again) == {"already in": 3, "failed": 1}


def test_files_folders_patterns_and_zips_of_zips_go_in_once(
    rider: Rider, import_for: Import, tmp_path: Path
) -> None:
    folder = rides_in(tmp_path / "a folder", 2)
    inner = zip_of(x__fit=fit(60, second=36_000))
    (tmp_path / "all.zip").write_bytes(zip_of(inner__zip=inner, same__gpx=gpx(60, name="Ride 0")))
    (tmp_path / "a.tcx").write_bytes(tcx(60, T0 + 5 * HOUR))
    (tmp_path / "wrong.fit").write_bytes(b"nothing")
    done = import_for(rider, f"'{folder}' {tmp_path}/*.zip {tmp_path}/*.tcx {tmp_path}/**/*.fit")
    assert done.returncode == 0, done.stdout + done.stderr
    assert said(done) == {"new": 4, "duplicate": 1, "failed": 1}
    assert re.search(r"duplicate +│ (all.zip/same|0).gpx", done.stdout)  # which came first is open
    assert "100% of it was recorded at the same time" in done.stdout
    assert "this is neither a FIT" in done.stdout
    assert len(workouts(rider)) == 4
    again = import_for(rider, f"'{folder}' {tmp_path}/*.zip {tmp_path}/*.tcx {tmp_path}/**/*.fit")
    assert said(again) == {"already in": 5, "failed": 1}


def test_a_ride_that_was_deleted_goes_in_again(
    rider: Rider, import_for: Import, tmp_path: Path
) -> None:
    folder = rides_in(tmp_path / "rides", 1)
    import_for(rider, folder)
    rider.client.delete(f"/api/workouts/{workouts(rider)[0]['id']}")
    assert said(import_for(rider, folder)) == {"new": 1}


def test_no_such_files_and_a_key_that_opens_nothing_are_failures(
    rider: Rider, import_for: Import, service: str, data_dir: Path, tmp_path: Path
) -> None:
    none = import_for(rider, tmp_path / "*.fit")
    assert none.returncode == 1
    assert "there is no file" in none.stderr
    rides_in(tmp_path, 1)
    stack = {**_stack(rider, service), "IMPORT_KEY": f"bpt_{'0' * 16}_{'0' * 64}"}
    done = run_ops("import", data_dir=data_dir, FILES=str(tmp_path), **stack)
    assert done.returncode == 1
    assert "takes the import's key no more" in done.stdout
    neither = run_ops("import", data_dir=data_dir)
    assert "FILES=" in neither.stderr


def test_workers_are_started_only_where_none_run(service: str, urls: dict[str, str]) -> None:
    eventually(lambda: workers_run(urls["REDIS_URL"]), timeout=60)
    assert not workers_run(f"{urls['REDIS_URL']}?db=7")


def test_what_this_machine_cannot_read_is_told_from_what_is_no_ride(tmp_path: Path) -> None:
    (found,) = files_at([tmp_path / "gone.fit"])
    assert found.is_ours
    assert found.file.problem == "cannot be read: No such file or directory"
    (tmp_path / "cut.zip").write_bytes(zip_of(a__fit=fit(60))[:100])
    (cut,) = files_at([tmp_path / "cut.zip"])
    assert not cut.is_ours
    assert "damaged" in (cut.file.problem or "")


def test_a_name_with_blanks_and_stars_is_a_name_where_there_is_such_a_file(tmp_path: Path) -> None:
    (tmp_path / "a [1] *.fit").touch()
    assert paths_of(str(tmp_path / "a [1] *.fit")) == [tmp_path / "a [1] *.fit"]


def test_few_files_are_on_their_way_however_many_there_are(rider: Rider, service: str) -> None:
    """As many as are in flight are read before the first is imported, and never more."""
    read, done = 0, 0

    def files() -> Iterator[Found]:
        nonlocal read
        for number in range(3 * IN_FLIGHT):
            read += 1
            assert read - done <= IN_FLIGHT
            yield Found(File(f"{number}.gpx", gpx(10, T0 + number * HOUR)))

    client = ImportClient(service, _stack(rider, service)["IMPORT_KEY"], "en")
    for outcome in import_all(client, files()):
        assert outcome.kind is Kind.NEW
        done += 1
    client.close()
    assert len(workouts(rider)) == done == 3 * IN_FLIGHT


@contextmanager
def importing(data_dir: Path, **variables: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "ops", "import"],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": str(data_dir), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_import_leaves_nothing_half_and_goes_on_later(
    rider: Rider, import_for: Import, service: str, data_dir: Path, tmp_path: Path, how: int
) -> None:
    folder = rides_in(tmp_path / "rides", 60)
    with importing(data_dir, FILES=str(folder), **_stack(rider, service)) as process:
        eventually(lambda: bool(workouts(rider)), timeout=60)
        process.send_signal(how)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "the same command does the rest" in output
    rest = import_for(rider, folder)
    assert rest.returncode == 0
    counts = said(rest)
    assert counts["new"] > 0
    assert counts["new"] + counts["already in"] == 60
    listed = workouts(rider)
    assert [one["title"] for one in listed] == [f"Ride {number}" for number in range(60)]
    assert [one["summary"]["avgPower"] for one in listed] == [100 + n for n in range(60)]


def test_a_watched_folder_gives_what_is_put_there_as_long_as_it_is_watched(
    rider: Rider, service: str, data_dir: Path, tmp_path: Path
) -> None:
    with importing(data_dir, WATCH=str(tmp_path), **_stack(rider, service)) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("Watching")
        rides_in(tmp_path / "sub", 1)
        eventually(lambda: bool(workouts(rider)), timeout=60)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert [one["title"] for one in workouts(rider)] == ["Ride 0"]


# Exports.


def test_an_unpacked_export_of_strava_s_goes_in_with_its_titles(
    rider: Rider, import_for: Import, tmp_path: Path
) -> None:
    rides_in(tmp_path / "activities", 1)
    table = (
        "Activity ID,Activity Date,Activity Name,Activity Type,Activity Description,Filename\n"
        "1,x,Round the lake,Gravel Ride,Wet.,activities/0.gpx\n2,x,By hand,Ride,,\n"
    )
    (tmp_path / "activities.csv").write_text(table)
    (tmp_path / "profile.json").write_text("{}")
    assert said(import_for(rider, tmp_path)) == {"new": 1}
    (workout,) = workouts(rider)
    assert (workout["title"], workout["description"]) == ("Round the lake", "Wet.")
    assert workout["sport"] == "gravel-cycling"


def test_an_export_of_garmin_s_goes_in_with_its_titles(
    rider: Rider, import_for: Import, tmp_path: Path
) -> None:
    row = {"activityId": 5, "name": "Zürich", "activityType": "road_biking", "startTimeGmt": T0}
    table = json.dumps([{"summarizedActivitiesExport": [row]}]).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        fitness = "DI_CONNECT/DI-Connect-Fitness/me_0_summarizedActivities.json"
        archive.writestr(fitness, table)
        files = "DI_CONNECT/DI-Connect-Uploaded-Files/UploadedFiles_0-_Part1.zip"
        archive.writestr(files, zip_of(me_77__fit=fit(60)))
    (tmp_path / "garmin.zip").write_bytes(packed.getvalue())
    assert said(import_for(rider, tmp_path / "garmin.zip")) == {"new": 1}
    (workout,) = workouts(rider)
    assert (workout["title"], workout["sport"]) == ("Zürich", "road-cycling")


def _well_used(rider: Rider) -> None:
    """A file with laps, a ride sent live with a real spike, one kept twice, one cropped."""
    day = {"effectiveFrom": "2020-01-01", "ftp": 250, "weight": 72.5, "maxHeartrate": 190}
    rider.client.put("/api/users/me/thresholds", json=day)
    run = {"effectiveFrom": "2021-01-01", "ftp": 300, "sport": "running"}
    rider.client.put("/api/users/me/thresholds", json=run)
    for data in (fit(1200), gpx(600, T0 + HOUR, power=180, hr=120)):
        sent = rider.client.post("/api/uploads", files={"file": data}, headers=WAIT)
        assert sent.status_code == 200, sent.text
    twice = {"file": gpx(600, T0 + HOUR + 1000, name="Twice", power=181)}
    rider.client.post("/api/uploads", files=twice, data={"onDuplicate": "keep"})
    live = rider.start(title="Live", sport="gravel-cycling", description="D")
    spike = {"timestamp": T0 + 2 * HOUR + 700_000, "power": 1900}
    samples = seconds_of(230, 600, T0 + 2 * HOUR)
    rider.upload(live, [{**one, "lat": 47.1234567, "speed": 8.186} for one in samples] + [spike])
    rider.complete(live)
    rider.client.post(f"/api/workouts/{live}/include", json={"spike": spike["timestamp"]})
    span = {"from": T0 + 2 * HOUR, "to": T0 + 2 * HOUR + 60_000}
    rider.client.post(f"/api/workouts/{live}/exclude", json=span)
    cropped = rider.start(title="Cropped")
    rider.upload(cropped, seconds_of(200, 600, T0 + 3 * HOUR))
    rider.complete(cropped)
    crop = {"from": T0 + 3 * HOUR + 60_000}
    rider.client.post(f"/api/workouts/{cropped}/crop", json=crop)
    eventually(
        lambda: rider.client.get("/api/users/me/recompute").json()["pending"] == 0, timeout=60
    )
    eventually(lambda: len(workouts(rider)) == 5, timeout=60)


TOLD = {"title", "description", "sport", "startTime", "duration", "summary", "device", "laps"}
TOLD |= {"pauses", "excluded", "excludedRanges", "vouchedRanges"}


def told(rider: Rider, workout_id: str) -> dict[str, Any]:
    """What an import has to bring back. A ride sent live has no device at all."""
    workout = rider.workout(workout_id)
    is_twin = workout["duplicateOf"] is not None
    return {name: workout[name] or None for name in TOLD} | {"is_twin": is_twin}


def test_our_own_export_goes_into_a_fresh_account_with_the_same_figures(
    make_rider: Callable[[], Rider], import_for: Import, tmp_path: Path
) -> None:
    old, fresh = make_rider(), make_rider()
    _well_used(old)
    (tmp_path / "export.zip").write_bytes(old.client.get("/api/users/me/export").content)
    done = import_for(fresh, tmp_path / "export.zip")
    assert said(done) == {"new": 5}, done.stdout + done.stderr
    pairs = list(zip(workouts(old), workouts(fresh), strict=True))
    for ours, theirs in pairs:
        before, after = told(old, ours["id"]), told(fresh, theirs["id"])
        assert after == before
    for path in ("/api/users/me/thresholds?sport=all", "/api/stats?period=year"):
        answers = [rider.client.get(path) for rider in (old, fresh)]
        assert answers[0].json() == answers[1].json(), path
        assert answers[0].status_code == 200
    records = [
        [(each["metric"], each["duration"], each["value"]) for each in found]
        for found in (
            rider.client.get("/api/records?sport=all").json()["records"] for rider in (old, fresh)
        )
    ]
    assert records[0] == records[1] != []
    assert said(import_for(fresh, tmp_path / "export.zip")) == {"already in": 5}
