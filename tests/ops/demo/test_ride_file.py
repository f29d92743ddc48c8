"""Files and recordings, sent by `make run` to a service with real workers."""

import gzip
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ops.demo.report import show
from ops.demo.requests import RideRefused
from ops.demo.ride_file import Imported, read_file, send_file
from ops.demo.ride_player import is_played, play_ride
from shared.files.reading import read_rides
from shared.files.tables import write_csv, write_json
from tests.api.answers import T0
from tests.api.files.ride_files import fit, gpx, tcx, zip_of
from tests.conftest import Rider

RECEIVED = T0 + 86_400_000
(RIDE,) = read_rides(fit(60), RECEIVED)


def sent(rider: Rider, data: bytes, name: str = "ride") -> Imported:
    key = rider.client.headers["X-API-Key"]
    return send_file(str(rider.client.base_url), key, data, name)


def listed(rider: Rider) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rider.client.get("/api/workouts").json()["workouts"]
    return found


@pytest.mark.parametrize(
    "data",
    [
        fit(60),
        tcx(60),
        gpx(60),
        gzip.compress(fit(60)),
        zip_of(a__gpx=gpx(60)),
        write_csv(RIDE),
        write_json(RIDE),
        json.dumps({"samples": [{"timestamp": T0 + 1000 * s, "power": 9} for s in range(60)]}),
    ],
    ids=["fit", "tcx", "gpx", "gz", "zip", "csv", "json", "telemetry"],
)
def test_every_format_becomes_a_workout(rider: Rider, tmp_path: Path, data: bytes | str) -> None:
    path = tmp_path / "ride"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    (workout,) = sent(rider, read_file(path)).workouts
    assert (workout["status"], workout["summary"]["sampleCount"]) == ("COMPLETED", 60)


def test_a_ride_that_is_there_already_is_shown_and_why(rider: Rider) -> None:
    (first,) = sent(rider, gpx(600, power=200)).workouts
    same_bytes, same_ride = sent(rider, gpx(600, power=200)), sent(rider, gpx(599, power=200))
    assert [each["id"] for each in same_bytes.workouts + same_ride.workouts] == [first["id"]] * 2
    assert "this very file was sent before" in same_bytes.remarks[0]
    assert "recorded at the same time" in same_ride.remarks[0]


def test_what_fails_of_a_zip_is_said_beside_the_rides_of_the_rest(rider: Rider) -> None:
    archive = zip_of(a__gpx=gpx(60), b__fit=fit(60, second=9000), c__fit=b"no ride")
    imported = sent(rider, archive)
    assert len(imported.workouts) == 2
    (remark,) = imported.remarks
    assert remark.startswith("c.fit: this is neither a FIT")
    shown = Console(file=StringIO(), width=120)
    show(shown, imported)
    assert isinstance(shown.file, StringIO)
    assert "2 rides" in shown.file.getvalue()
    with pytest.raises(RideRefused, match="neither a FIT"):
        sent(rider, zip_of(c__fit=b"no ride either"))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [(b"", "empty"), (b"hello", "neither a FIT"), (zip_of(a__jpg=b"x"), "no file that may be")],
)
def test_a_file_without_a_ride_is_known_before_it_is_sent(
    tmp_path: Path, data: bytes, complaint: str
) -> None:
    path = tmp_path / "ride"
    path.write_bytes(data)
    with pytest.raises(RideRefused, match=complaint):
        read_file(path)
    with pytest.raises(RideRefused, match="cannot read"):
        read_file(tmp_path / "absent.fit")


def test_only_ndjson_is_played_as_by_a_device() -> None:
    names = ("a.ndjson", "A.NDJSON.GZ", "a.json", "a.fit.gz")
    assert [is_played(Path(name)) for name in names] == [True, True, False, False]


def stop(_: int) -> None:
    raise KeyboardInterrupt


def go_on(_: int) -> None:
    pass


@pytest.mark.parametrize(
    ("last", "progress", "error"),
    [(b'{"timestamp": 1}', go_on, RideRefused), (b"{}", stop, KeyboardInterrupt)],
    ids=["refused", "broken off"],
)
def test_a_recording_that_is_not_played_to_its_end_leaves_no_workout(
    rider: Rider, last: bytes, progress: Callable[[int], None], error: type[BaseException]
) -> None:
    lines = [b'{"timestamp": %d, "power": 200}' % (T0 + 1000 * s) for s in range(60)]
    key = rider.client.headers["X-API-Key"]
    with pytest.raises(error):
        play_ride(str(rider.client.base_url), key, [*lines, last], "Half", progress)
    assert listed(rider) == []
