"""Any bytes: rides, or one of the two refusals, and nothing else."""

import contextlib
import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.files.reading import read_rides
from shared.files.recording import FileRefused, NotAnActivity, UnreadableFile
from tests.shared.files import fit_bytes
from tests.shared.files.test_archives import zip_of
from tests.shared.files.test_fit import RECEIVED
from tests.shared.files.test_gpx import document as gpx_document
from tests.shared.files.test_gpx import point as gpx_point
from tests.shared.files.test_gpx import track as gpx_track
from tests.shared.files.test_tcx import activity, track
from tests.shared.files.test_tcx import document as tcx_document
from tests.shared.files.test_tcx import lap as tcx_lap
from tests.shared.files.test_tcx import point as tcx_point

FIT = fit_bytes.fit_file(
    fit_bytes.file_id(),
    *(fit_bytes.record(second, power=200, heartrate=140, speed=8000) for second in range(5)),
    fit_bytes.timer(5, 4),
    fit_bytes.lap(0, 5),
    fit_bytes.session(0, 5, np=200, work=1000),
    fit_bytes.activity(5, offset=3600),
)
TCX = tcx_document(
    activity(tcx_lap(track(*(tcx_point(second) for second in range(40, 45)))))
).encode()
GPX = gpx_document(gpx_track("".join(gpx_point(second) for second in range(40, 45)))).encode()
FILES = [FIT, TCX, GPX, gzip.compress(FIT), gzip.compress(TCX)]


@pytest.mark.parametrize("data", FILES, ids=["fit", "tcx", "gpx", "fit.gz", "tcx.gz"])
def test_a_file_is_known_by_its_bytes(data: bytes) -> None:
    (ride,) = read_rides(data, RECEIVED)
    assert len(ride.samples) == 5


def test_the_zone_is_found_on_the_way() -> None:
    assert read_rides(GPX, RECEIVED)[0].time_zone == "Europe/Amsterdam"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "this file is empty"),
        (b" \r\n\0\0", "this file is empty"),
        (b"{}", "neither a FIT, nor a TCX, nor a GPX file"),
        (b"<html><body>Log in</body></html>", "this is a web page, not a ride's file"),
        (b"\n<!doctype HTML><p>Log in", "this is a web page, not a ride's file"),
        (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X", "neither a FIT, nor a TCX, nor a GPX file"),
        (zip_of({"a.fit": FIT}), "this archive is of a kind that is not opened here"),
        (gzip.compress(zip_of({"a.fit": FIT})), "holds another archive"),
        (b'<!DOCTYPE gpx [<!ENTITY a "b">]><gpx>&a;</gpx>', "declares a document type"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(UnreadableFile, match=words):
        read_rides(data, RECEIVED)


def test_a_compressed_file_that_is_cut_off_gives_the_readings_before_the_cut() -> None:
    whole = gzip.compress(TCX)
    (ride,) = read_rides(whole[:-4], RECEIVED)
    assert len(ride.samples) == 5
    assert ride.warnings == (
        "the compressed file is damaged, cut off or followed by something else",
    )


@pytest.mark.parametrize("name", ["Salt & Pepper", "a&nbsp;b", "a\0b\x1b", "5 < 6", "&#0;"])
def test_a_name_that_was_not_escaped_costs_no_point(name: str) -> None:
    points = "".join(gpx_point(second) for second in range(40, 45))
    data = gpx_document(gpx_track(points, said=f"<name>{name}</name>")).encode()
    for document in (data, b"<!DOCTYPE gpx>" + data):
        (ride,) = read_rides(document, RECEIVED)
        assert len(ride.samples) == 5
        assert ride.warnings == ()


TWO = fit_bytes.fit_file(*(fit_bytes.record(second, power=200) for second in range(2)))
MOMENT = fit_bytes.fit_file(fit_bytes.file_id(), fit_bytes.record(9000, power=200))


@pytest.mark.parametrize(
    "data",
    [
        MOMENT,
        tcx_document(activity(tcx_lap(track(tcx_point(40), tcx_point(40))))).encode(),
        gpx_document(gpx_track(gpx_point(40))).encode(),
    ],
    ids=["fit", "tcx", "gpx"],
)
def test_readings_of_a_single_moment_are_no_ride(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match=r"^readings of a single moment are no ride$"):
        read_rides(data, RECEIVED)


def test_a_file_that_was_cut_after_its_first_reading_says_that_too() -> None:
    with pytest.raises(UnreadableFile, match=r"no ride; the file is damaged or cut off"):
        read_rides(TWO[:-5], RECEIVED)


def test_a_moment_beside_a_ride_is_left_out_and_said() -> None:
    for data in (FIT + MOMENT, MOMENT + FIT):
        (ride,) = read_rides(data, RECEIVED)
        assert len(ride.samples) == 5
        assert ride.warnings == (
            "1 of the file's 2 rides left out: readings of a single moment are no ride",
        )


def read_or_be_refused(data: bytes) -> None:
    """What is read has the form that everything after it relies on."""
    with contextlib.suppress(NotAnActivity, UnreadableFile):
        for ride in read_rides(data, RECEIVED):
            assert ride.samples.channels
            assert ride.start <= ride.end
            assert (np.diff(ride.samples.timestamps) >= 0).all()
            assert all(not np.isnan(one).all() for one in ride.samples.channels.values())
            assert all(lap.start <= lap.end for lap in ride.laps)
            assert all(pause.start < pause.end for pause in ride.pauses)


@pytest.mark.parametrize("data", FILES, ids=["fit", "tcx", "gpx", "fit.gz", "tcx.gz"])
def test_a_file_cut_off_anywhere_is_read_or_refused(data: bytes) -> None:
    for length in range(0, len(data), max(1, len(data) // 300)):
        read_or_be_refused(data[:length])


@given(st.sampled_from(FILES), st.lists(st.tuples(st.integers(0), st.integers(1, 255)), max_size=8))
def test_a_file_with_flipped_bits_is_read_or_refused(
    data: bytes, flips: list[tuple[int, int]]
) -> None:
    changed = bytearray(data)
    for at, bits in flips:
        changed[at % len(changed)] ^= bits
    read_or_be_refused(bytes(changed))


@given(st.integers(0), st.binary(min_size=1, max_size=6))
def test_a_fit_file_with_other_bytes_and_right_checksums_is_read_or_refused(
    at: int, other: bytes
) -> None:
    """The fast decoder reads these: a wrong checksum alone would keep it away."""
    body = bytearray(FIT[14:-2])
    start = at % len(body)
    body[start : start + len(other)] = other
    head = FIT[:4] + len(body).to_bytes(4, "little") + b".FIT"
    head += fit_bytes.checksum(head).to_bytes(2, "little")
    whole = head + bytes(body)
    read_or_be_refused(whole + fit_bytes.checksum(whole).to_bytes(2, "little"))


@given(st.binary(max_size=200), st.sampled_from([b"", FIT[:14], b"\x1f\x8b", b"PK\x03\x04", b"<"]))
def test_any_bytes_at_all_are_read_or_refused(data: bytes, beginning: bytes) -> None:
    read_or_be_refused(beginning + data)


@given(st.text(max_size=60), st.sampled_from(["<gpx>{}</gpx>", "<TrainingCenterDatabase>{}"]))
def test_any_text_at_all_is_read_or_refused(text: str, around: str) -> None:
    read_or_be_refused(around.format(text).encode("utf-8", "surrogatepass"))


def test_both_refusals_are_one_to_whoever_only_wants_the_reason() -> None:
    assert issubclass(NotAnActivity, FileRefused)
    assert issubclass(UnreadableFile, FileRefused)
