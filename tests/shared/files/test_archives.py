"""Archives: what comes out, and what is refused."""

import contextlib
import gzip
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.files.archives import (
    ArchiveTooLarge,
    Limits,
    Member,
    gunzip,
    is_archive,
    may_hold_a_ride,
    members,
)
from shared.files.recording import UnreadableFile

SMALL = Limits(member=2 << 20, total=4 << 20, members=5, ratio=100)


def zip_of(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def unpacked(data: bytes, limits: Limits = SMALL) -> list[Member]:
    return list(members(io.BytesIO(data), limits))


def test_the_files_of_a_zip_come_with_their_names_those_in_gz_unpacked() -> None:
    data = zip_of({"activities/1.fit.gz": gzip.compress(b"one"), "2.tcx": b"two", "empty/": b""})
    assert unpacked(data) == [("activities/1.fit.gz", b"one", None), ("2.tcx", b"two", None)]


def test_tables_pictures_and_hidden_files_are_not_looked_at() -> None:
    names = ["a/b.fit", "no suffix", "activities.csv", "x.JPG", "__MACOSX/._b.fit", "a/.DS_Store"]
    assert [name for name in names if may_hold_a_ride(name)] == ["a/b.fit", "no suffix"]


def test_who_wants_the_tables_gets_them() -> None:
    data = zip_of({"activities.csv": b"1,2", "1.fit": b"x"})
    found = members(io.BytesIO(data), SMALL, wanted=lambda name: name == "activities.csv")
    assert list(found) == [("activities.csv", b"1,2", None)]


def test_names_are_harmless_to_show() -> None:
    (found,) = unpacked(zip_of({"../../etc/\x1b[2Jpasswd": b"x"}, zipfile.ZIP_STORED))
    assert found.name == "../../etc/�[2Jpasswd"


def test_an_archive_within_an_archive_is_not_opened_unless_asked_for() -> None:
    data = zip_of({"1.zip": zip_of({"a.fit": b"one"}), "b.fit": b"two"})
    assert unpacked(data) == [
        ("1.zip", b"", "an archive within an archive is not opened"),
        ("b.fit", b"two", None),
    ]
    assert unpacked(data, Limits(levels=1)) == [
        ("1.zip/a.fit", b"one", None),
        ("b.fit", b"two", None),
    ]
    assert unpacked(zip_of({"0.zip": data}), Limits(levels=1))[0] == (
        "0.zip/1.zip",
        b"",
        "an archive within an archive is not opened",
    )


def test_a_bomb_costs_what_the_limits_allow_and_spares_the_others() -> None:
    """10 MB of zeros become 10 kB: a ratio of a thousand."""
    data = zip_of({"bomb.fit": bytes(10 << 20), "b.fit": b"two"})
    assert unpacked(data) == [
        ("bomb.fit", b"", "this file unpacks to more than 1 MB"),
        ("b.fit", b"two", None),
    ]


def test_a_bomb_in_a_gz_is_refused() -> None:
    with pytest.raises(UnreadableFile, match="unpacks to more than 1 MB"):
        gunzip(gzip.compress(bytes(10 << 20)), SMALL)
    doubly = gzip.compress(gzip.compress(bytes(1 << 20)))
    with pytest.raises(UnreadableFile, match="holds another archive"):
        gunzip(doubly, SMALL)


def test_too_many_files_or_bytes_end_the_reading() -> None:
    many = {f"{number}.fit": b"x" for number in range(6)}
    with pytest.raises(UnreadableFile, match="more than can be taken at once"):
        unpacked(zip_of(many))
    large = {f"{number}.fit": bytes(1 << 20) for number in range(5)}
    with pytest.raises(UnreadableFile, match="more than can be taken at once"):
        unpacked(zip_of(large, zipfile.ZIP_STORED))


def test_bombs_that_are_refused_count_as_well() -> None:
    """Each is given up after a megabyte; the fifth makes more than four of them."""
    bombs = {f"{number}.fit": bytes(10 << 20) for number in range(5)}
    with pytest.raises(ArchiveTooLarge, match="more than can be taken at once"):
        unpacked(zip_of(bombs))


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@given(st.lists(st.tuples(st.integers(0), st.integers(1, 255)), min_size=1, max_size=6))
def test_a_zip_with_flipped_bits_is_read_or_refused(
    method: int, flips: list[tuple[int, int]]
) -> None:
    changed = bytearray(zip_of({"a.fit": b"one" * 20, "b.fit.gz": gzip.compress(b"two")}, method))
    for at, bits in flips:
        changed[at % len(changed)] ^= bits
    with contextlib.suppress(UnreadableFile):
        assert all(member.data == b"" for member in unpacked(bytes(changed)) if member.problem)


def test_levels_share_one_limit() -> None:
    inner = zip_of({f"{number}.fit": b"x" for number in range(4)})
    with pytest.raises(UnreadableFile, match="more than can be taken at once"):
        unpacked(zip_of({"1.zip": inner, "2.zip": inner}), Limits(members=5, levels=1))
    with pytest.raises(UnreadableFile, match="more than can be taken at once"):
        unpacked(zip_of({"1.zip": inner}), Limits(members=3, levels=1))


def test_a_damaged_file_leaves_the_others() -> None:
    data = bytearray(zip_of({"a.fit": b"one" * 100, "b.fit": b"two"}, zipfile.ZIP_STORED))
    data[data.index(b"one") + 5] ^= 1
    found = unpacked(bytes(data))
    assert (found[0].name, found[0].data) == ("a.fit", b"")
    assert "damaged" in str(found[0].problem)
    assert found[1] == ("b.fit", b"two", None)


def test_an_encrypted_file_is_said_to_be() -> None:
    data = bytearray(zip_of({"a.fit": b"one"}))
    for mark in (b"PK\x03\x04", b"PK\x01\x02"):
        at = data.index(mark) + (6 if mark == b"PK\x03\x04" else 8)
        data[at] |= 1
    assert unpacked(bytes(data)) == [("a.fit", b"", "this file is encrypted")]


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(10), b"Rar!"])
def test_what_is_no_zip_is_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match="damaged or cut off"):
        unpacked(data)


def test_a_gz_is_kept_as_far_as_it_can_be_unpacked() -> None:
    whole = gzip.compress(bytes(range(256)) * 1000)
    for damaged in (whole[:-4], whole + b"<html>", whole[:-8] + b"12345678"):
        assert gunzip(damaged) == (
            bytes(range(256)) * 1000,
            "the compressed file is damaged, cut off or followed by something else",
        )
    assert gunzip(whole + bytes(100)) == (bytes(range(256)) * 1000, None)
    text = "".join(str(number) for number in range(100_000)).encode()
    half = gunzip(gzip.compress(text)[:100_000])
    assert len(half.data) > 150_000
    assert text.startswith(half.data)


def test_a_gz_cut_off_before_anything_can_be_unpacked_is_unreadable() -> None:
    with pytest.raises(UnreadableFile, match="damaged or cut off"):
        gunzip(gzip.compress(b"one" * 1000)[:12])


def test_archives_are_known_by_their_first_bytes() -> None:
    assert is_archive(zip_of({}))
    assert is_archive(b"Rar!\x1a\x07")
    assert not is_archive(b"<gpx>")
