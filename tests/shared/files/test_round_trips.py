"""Real rides, written in every format and read again: the figures stay."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fitdecode
import numpy as np
import pytest

from shared.figures import Summary
from shared.files.fit_writer import write_fit
from shared.files.gpx_writer import write_gpx
from shared.files.reading import read_rides
from shared.files.recording import FileRefused, Recording
from shared.files.tables import write_csv, write_json
from shared.files.tcx_writer import write_tcx
from shared.samples.columns import Samples, merge
from worker.rides.athlete import Athlete
from worker.rides.ride import Ride
from worker.rides.summary import summarize

RECEIVED = 1_795_000_000_000
Writer = Callable[[Recording], bytes]
WRITERS: dict[str, Writer] = {
    "fit": write_fit,
    "tcx": write_tcx,
    "gpx": write_gpx,
    "csv": write_csv,
    "json": write_json,
}
# How far a value may be from what was written, and which channels a format has no place for.
NEAR: dict[str, dict[str, float]] = {
    "fit": {"power": 0.51, "cadence": 0.51, "heartrate": 0.51, "temperature": 0.51},
    "tcx": {"power": 0.51, "cadence": 0.51, "heartrate": 0.51},
    "gpx": {"power": 0.51, "cadence": 0.51, "heartrate": 0.51},
    "csv": {},
    "json": {},
}
FINE = {"altitude": 0.21, "distance": 0.006, "speed": 0.0006, "lat": 1e-7, "lng": 1e-7}
WITHOUT = {"tcx": {"temperature", "balance"}, "gpx": {"balance"}}


@dataclass(frozen=True)
class Trip:
    """A ride of a file, and what is read of it after it was written in a format."""

    name: str
    form: str
    ride: Recording
    found: Recording

    @property
    def is_whole(self) -> bool:
        """Whether the format keeps every sample: FIT has one a second."""
        return self.form != "fit" or is_by_seconds(self.ride.samples)


@pytest.fixture(scope="module")
def recordings(rides_dir: Path) -> dict[str, Recording]:
    paths = sorted([*rides_dir.glob("*.*"), *rides_dir.glob("files/*")])
    kinds = {".fit", ".tcx", ".gpx", ".gz"}
    return {
        f"{path.name} {index}": ride
        for path in paths
        if path.suffix in kinds
        for index, ride in enumerate(rides_in(path))
    }


@pytest.fixture(scope="module")
def before(recordings: dict[str, Recording]) -> dict[str, Summary]:
    return {name: summary_of(ride) for name, ride in recordings.items()}


@pytest.fixture(scope="module", params=WRITERS)
def trips(request: pytest.FixtureRequest, recordings: dict[str, Recording]) -> list[Trip]:
    form: str = request.param
    return [
        Trip(name, form, ride, *read_rides(WRITERS[form](ride), RECEIVED))
        for name, ride in recordings.items()
    ]


def rides_in(path: Path) -> Iterator[Recording]:
    try:
        yield from read_rides(path.read_bytes(), RECEIVED)
    except FileRefused:
        return  # as others of these tests expect


def summary_of(ride: Recording) -> Summary:
    return summarize(Ride(merge(ride.samples)), Athlete(ftp=250))


def changed(before: float | None, after: float | None) -> float:
    """As a share of what it was; infinite where it is there only once."""
    if before is None or after is None:
        return 0 if before is after else float("inf")
    return abs(after - before) / max(abs(before), 1e-9)


def is_by_seconds(samples: Samples) -> bool:
    return not np.any(samples.timestamps % 1000)


def test_power_energy_and_distance_stay(trips: list[Trip], before: dict[str, Summary]) -> None:
    wrong: list[tuple[Any, ...]] = []
    for trip in trips:
        old, new = before[trip.name], summary_of(trip.found)
        errors = (
            changed(old.precise.normalized_power, new.precise.normalized_power) / 0.005,
            changed(old.precise.total_energy, new.precise.total_energy) / 0.005,
            changed(old.total_distance, new.total_distance) / 0.001,
        )
        if max(errors) > 1:
            wrong.append((trip.name, *errors))
    assert wrong == []
    assert len(trips) > 45


def test_every_sample_is_there_to_the_formats_resolution(trips: list[Trip]) -> None:
    """Missing stays missing, and gaps stay gaps: no sample more and none less."""
    for trip in trips:
        if not trip.is_whole:
            continue
        found, written = trip.found.samples, trip.ride.samples
        assert found.timestamps.tolist() == written.timestamps.tolist(), trip.name
        near = {**(FINE if NEAR[trip.form] else {}), **NEAR[trip.form]}
        for channel in written.channels.keys() - WITHOUT.get(trip.form, set()):
            np.testing.assert_allclose(
                found.channel(channel),
                marked(channel, written, trip.form),
                rtol=0,
                atol=near.get(channel, 1e-9),
                err_msg=f"{trip.name} {channel}",
            )


def marked(channel: str, samples: Samples, form: str) -> Any:
    """What is expected: 0 bpm and 0/0 degrees are no measurement but in our own formats."""
    values = samples.channel(channel)
    if form in ("csv", "json"):
        return values
    if channel == "heartrate":
        return np.where(values == 0, np.nan, values)
    return values


def test_pauses_stay_where_the_timer_stood(trips: list[Trip]) -> None:
    """TCX and GPX have them between points: where no reading parts two, they are one."""
    for trip in trips:
        if trip.form in ("fit", "json") and trip.is_whole:
            assert trip.found.pauses == trip.ride.pauses, trip.name
        elif trip.form != "csv":
            assert abs(len(trip.found.pauses) - len(trip.ride.pauses)) <= 2, trip.name


def test_the_sport_stays(trips: list[Trip]) -> None:
    wrong = [trip.name for trip in trips if trip.ride.sport not in (None, trip.found.sport)]
    assert wrong == []


def test_another_decoder_reads_every_fit_file(recordings: dict[str, Recording]) -> None:
    for name, ride in recordings.items():
        if len(ride.samples) > 3000:
            continue  # it is slow
        with fitdecode.FitReader(
            write_fit(ride),
            check_crc=fitdecode.CrcCheck.RAISE,
            error_handling=fitdecode.ErrorHandling.RAISE,
        ) as reader:
            seen = [each.name for each in reader if isinstance(each, fitdecode.FitDataMessage)]
        assert seen.count("record") == len(ride.samples) or not is_by_seconds(ride.samples), name
        assert seen[-2:] == ["session", "activity"]
