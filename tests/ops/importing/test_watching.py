"""When a file that is put into a watched folder is complete."""

import sys
from pathlib import Path

import pytest

from ops.importing.watching import Watch


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def looks(watch: Watch, clock: Clock, count: int = 3) -> list[str]:
    """The names that are found complete by so many looks, 3 s apart."""
    found = []
    for _ in range(count):
        found += [path.name for path in watch.complete()]
        clock.now += 3
    return found


def test_a_file_is_taken_once_it_has_rested_and_again_only_when_it_has_changed(
    tmp_path: Path,
) -> None:
    clock = Clock()
    watch = Watch(tmp_path, clock)
    (tmp_path / "a.fit").write_bytes(b"1")
    assert looks(watch, clock, 2) == []  # for 3 s alone
    assert looks(watch, clock) == ["a.fit"]
    assert looks(watch, clock) == []
    (tmp_path / "a.fit").write_bytes(b"12")
    assert looks(watch, clock) == ["a.fit"]


def test_what_is_no_ride_by_its_ending_is_left_alone(tmp_path: Path) -> None:
    clock = Clock()
    for name in ("a.jpg", "b.fit.crdownload", "c.pdf", "d.FIT", "e.gpx.gz", "f.zip"):
        (tmp_path / name).write_bytes(b"1")
    assert looks(Watch(tmp_path, clock), clock) == ["d.FIT", "e.gpx.gz", "f.zip"]


def test_a_file_that_still_grows_is_left_alone(tmp_path: Path) -> None:
    clock = Clock()
    watch = Watch(tmp_path, clock)
    for size in range(1, 5):
        (tmp_path / "a.fit").write_bytes(b"x" * size)
        assert looks(watch, clock, 1) == []
    assert looks(watch, clock) == ["a.fit"]


@pytest.mark.skipif(sys.platform != "linux", reason="no other kernel says who writes")
def test_a_file_that_somebody_has_open_to_write_is_left_alone_however_long_it_rests(
    tmp_path: Path,
) -> None:
    clock = Clock()
    watch = Watch(tmp_path, clock)
    with (tmp_path / "a.fit").open("wb") as file:
        file.write(b"1")
        file.flush()
        assert looks(watch, clock, 20) == []
    assert looks(watch, clock) == ["a.fit"]


def test_names_of_what_is_not_complete_and_empty_and_hidden_files_are_left_alone(
    tmp_path: Path,
) -> None:
    clock = Clock()
    (tmp_path / ".sync").mkdir()
    for name in ("a.fit.part", "b.crdownload", ".c.fit", ".sync/d.fit"):
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "empty.fit").touch()
    assert looks(Watch(tmp_path, clock), clock) == []
