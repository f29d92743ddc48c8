"""The process that reads files, and what ends it."""

import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest

from shared.files.reading import read_rides
from shared.files.recording import FileRefused
from tests.api.files.ride_files import fit, gpx, tcx, zip_of
from worker.files.reader import FileReader, ReaderDied, ReaderKilled

GIB = 1 << 30
NOW = 1_800_000_000_000


@pytest.fixture
def reader() -> Iterator[FileReader]:
    reader = FileReader(30, GIB)
    yield reader
    reader.close()


def failing(monkeypatch: pytest.MonkeyPatch, action: str, seconds: int = 30) -> FileReader:
    """One whose process does this before it reads; the worker itself waits for ever."""
    monkeypatch.setenv("FAILPOINT", f"while-reading={action}")
    return FileReader(seconds, GIB, patience=1000)


def test_a_ride_comes_back_as_it_was_read(reader: FileReader) -> None:
    (ours,) = read_rides(fit(60), NOW)
    (theirs,) = reader.read_rides(fit(60), NOW)
    assert (theirs.laps, theirs.device, theirs.figures) == (ours.laps, ours.device, ours.figures)
    assert np.array_equal(theirs.samples.timestamps, ours.samples.timestamps)
    assert theirs.samples.channels.keys() == ours.samples.channels.keys()
    for name, values in ours.samples.channels.items():
        assert np.array_equal(theirs.samples.channels[name], values, equal_nan=True)


def test_one_process_reads_many_files_and_goes_on_after_one_that_it_refuses(
    reader: FileReader,
) -> None:
    for number in range(3):
        assert len(reader.read_rides(gpx(60 + number), NOW)[0].samples) == 60 + number
        with pytest.raises(FileRefused, match="neither a FIT"):
            reader.read_rides(b"hello", NOW)
    assert [member.name for member in reader.members(zip_of(a__gpx=gpx(2), b__gpx=gpx(3)))] == [
        "a.gpx",
        "b.gpx",
    ]


def test_who_wants_only_a_few_files_of_a_zip_leaves_nothing_for_the_next(
    reader: FileReader,
) -> None:
    members = reader.members(zip_of(a__gpx=gpx(2), b__gpx=gpx(3)))
    assert next(members).name == "a.gpx"
    members.close()
    assert len(reader.read_rides(gpx(60), NOW)) == 1


def test_a_file_that_never_ends_is_refused_and_the_next_one_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = failing(monkeypatch, "spin", seconds=1)
    with pytest.raises(FileRefused, match="longer than it may"):
        reader.read_rides(gpx(60), NOW)
    monkeypatch.delenv("FAILPOINT")
    assert len(reader.read_rides(gpx(60), NOW)) == 1
    reader.close()


def test_a_process_that_stalls_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = FileReader(1, GIB, patience=1)
    monkeypatch.setenv("FAILPOINT", "while-reading=stop")
    with pytest.raises(FileRefused, match="longer than it may"):
        reader.read_rides(gpx(60), NOW)
    assert reader.pid is None


def test_a_file_that_eats_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = failing(monkeypatch, "hoard")
    with pytest.raises(FileRefused, match="more memory than it may"):
        reader.read_rides(gpx(60), NOW)
    reader.close()


def found_within(megabytes: int, file: bytes) -> int | str:
    """How many readings are found with so much memory, or why none are."""
    reader = FileReader(30, megabytes << 20)
    try:
        return len(reader.read_rides(file, NOW)[0].samples)
    except (FileRefused, ReaderDied) as refusal:
        return str(refusal)
    finally:
        reader.close()


@pytest.mark.parametrize(
    ("file", "readings"), [(tcx(30_000), 30_000), (fit(5_000)[:-2], 5_000)], ids=["tcx", "fit"]
)
def test_too_little_memory_is_never_taken_for_the_end_of_a_damaged_file(
    file: bytes, readings: int
) -> None:
    refusals = (
        "reading this file takes more memory than it may",
        f"the process that reads files ended with {-signal.SIGABRT}",  # as decoders in Rust do
    )
    for megabytes in (4, 8, 10, 12, 14, 18, 24, 64):
        assert found_within(megabytes, file) in (readings, *refusals)


def test_a_fault_of_ours_over_a_file_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = failing(monkeypatch, "raise")
    with pytest.raises(FileRefused, match="fault of ours"):
        reader.read_rides(gpx(60), NOW)
    reader.close()


def test_a_process_that_somebody_kills_says_nothing_about_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = failing(monkeypatch, "kill")
    with pytest.raises(ReaderKilled):
        reader.read_rides(gpx(60), NOW)
    reader.close()


def test_it_outlives_the_signals_that_stop_a_worker(reader: FileReader) -> None:
    """The worker finishes the event in hand, and so does the process that reads for it."""
    reader.read_rides(gpx(60), NOW)
    assert reader.pid
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        os.kill(reader.pid, signal_)
    before = reader.pid
    assert len(reader.read_rides(gpx(60), NOW)) == 1
    assert reader.pid == before
