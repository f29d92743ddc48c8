import io
import zipfile
from datetime import UTC, datetime
from random import Random

import pytest

from api.export.zip_stream import ZipStream

NOW = datetime(2026, 5, 17, 12, 30, 8, tzinfo=UTC)
NOISE = Random(7).randbytes(1_000_000)


def zipped(members: dict[str, list[bytes]]) -> list[bytes]:
    """The pieces of a zip file."""
    stream, pieces = ZipStream(NOW), list[bytes]()
    for name, content in members.items():
        with stream.member(name):
            pieces += stream.pieces(content)
    return [*pieces, stream.end()]


def opened(pieces: list[bytes]) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(pieces)))


def test_members_are_read_as_they_were_written() -> None:
    archive = opened(zipped({"a.txt": [b"one ", b"two"], "b/c.bin": [NOISE, NOISE], "empty": []}))
    assert archive.testzip() is None
    assert archive.namelist() == ["a.txt", "b/c.bin", "empty"]
    assert archive.read("a.txt") == b"one two"
    assert archive.read("b/c.bin") == 2 * NOISE
    assert archive.read("empty") == b""
    assert archive.getinfo("a.txt").date_time == (2026, 5, 17, 12, 30, 8)


def test_no_members_are_a_zip_file() -> None:
    assert opened(zipped({})).namelist() == []


def test_pieces_are_given_away_as_they_fill_up() -> None:
    parts = [NOISE[start : start + 10_000] for start in range(0, len(NOISE), 10_000)]
    pieces = zipped({"noise": parts})
    assert len(pieces) >= 10
    assert max(map(len, pieces)) < 150_000


def test_what_lacks_its_last_piece_is_no_zip_file() -> None:
    pieces = zipped({"noise": [NOISE]})
    with pytest.raises(zipfile.BadZipFile):
        opened(pieces[:-1])


def test_a_zip_file_may_be_larger_than_its_first_format_allows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Places beyond 4 GiB; here beyond a limit that a test can reach."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1_500_000)
    pieces = zipped({"a": [NOISE], "b": [NOISE], "c": [NOISE]})
    monkeypatch.undo()
    assert b"PK\x06\x06" in pieces[-1]  # the end of central directory, as of ZIP64
    archive = opened(pieces)
    assert archive.testzip() is None
    assert archive.read("c") == NOISE
