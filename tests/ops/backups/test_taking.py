"""Backups in their folder: named by time, checked, kept by number, encrypted, again and again."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ops.backups.encryption import decrypted, encrypted
from ops.backups.folder import (
    WrongChecksum,
    backups_in,
    check,
    keep_newest,
    name_at,
    write_checksum,
)
from ops.backups.taking import Plan, take_every, whole_or_not
from ops.processes import ProcessFailed
from tests.conftest import ROOT, need

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
TAR = bytes(257) + b"ustar" + bytes(10_000)


def place(folder: Path, moment: datetime) -> Path:
    backup = folder / name_at(moment)
    backup.write_bytes(b"rides")
    write_checksum(backup)
    return backup


def test_a_backup_is_named_by_when_it_began_in_utc() -> None:
    assert name_at(NOON.astimezone()) == "bpt-20260501T120000Z.backup"


def test_its_checksum_is_what_sha256sum_reads(tmp_path: Path) -> None:
    backup = place(tmp_path, NOON)
    command = ["sha256sum", "--check", f"{backup.name}.sha256"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0
    check(backup)
    backup.write_bytes(b"rites")
    with pytest.raises(WrongChecksum, match="damaged"):
        check(backup)


def test_the_newest_are_kept_and_never_none(tmp_path: Path) -> None:
    backups = [place(tmp_path, NOON + timedelta(hours=n)) for n in range(4)]
    strange = tmp_path / "notes.txt"
    strange.write_text("mine")
    assert keep_newest(tmp_path, 3) == backups[:1]
    assert keep_newest(tmp_path, 0) == backups[1:3]
    assert keep_newest(tmp_path, 1) == []
    assert backups_in(tmp_path) == backups[3:]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"notes.txt", backups[3].name, f"{backups[3].name}.sha256"}


def test_the_one_just_made_stays_though_the_clock_was_ahead_before(tmp_path: Path) -> None:
    ahead = place(tmp_path, NOON + timedelta(days=400))
    made = place(tmp_path, NOON)
    assert keep_newest(tmp_path, 1, made) == []
    assert backups_in(tmp_path) == [made, ahead]


def test_one_that_fails_leaves_what_had_its_name_before(tmp_path: Path) -> None:
    good = place(tmp_path, NOON)

    def write_half() -> None:
        with whole_or_not(good) as file:
            file.write(b"half")
            raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_half()
    check(good)
    assert len(list(tmp_path.iterdir())) == 2


def test_what_was_cut_off_is_no_backup(tmp_path: Path) -> None:
    whole = place(tmp_path, NOON)
    (tmp_path / name_at(NOON + timedelta(hours=1))).write_bytes(b"without a checksum")
    assert backups_in(tmp_path) == [whole]


def folder_command(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Without any package."""
    command = [sys.executable, "-S", "-m", "ops.backups.folder", *map(str, arguments)]
    environ = {"PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True)


def test_backups_of_the_stack_are_finished_by_python_alone(tmp_path: Path) -> None:
    old, new = place(tmp_path, NOON), tmp_path / name_at(NOON + timedelta(hours=1))
    new.write_bytes(b"rides")
    assert folder_command("finish", new, KEEP="1").stdout == f"deleted {old}\n"
    assert folder_command("check", new).returncode == 0
    new.write_bytes(b"rites")
    assert "is damaged" in folder_command("check", new).stderr
    assert folder_command("delete", new).stderr == "no such command: delete\n"


class Schedule:
    """A clock that its own waits move on, and backups that fail when they are told to."""

    def __init__(self, folder: Path, failing: set[int]) -> None:
        self.now, self.folder, self.failing = NOON, folder, failing
        self.waits, self.tries = list[float](), 0

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += timedelta(seconds=seconds)
        return len(self.waits) == 5

    def take_one(self) -> None:
        self.tries += 1
        if self.tries in self.failing:
            raise ProcessFailed("the disk is full")
        place(self.folder, self.now)

    def run(self, interval: timedelta) -> list[float]:
        take_every(interval, Plan(self.folder), self.take_one, self.wait, lambda: self.now)
        return self.waits


def test_one_is_taken_at_once_and_then_one_an_interval(tmp_path: Path) -> None:
    assert Schedule(tmp_path, set()).run(timedelta(hours=6)) == [0, 21600, 21600, 21600, 21600]


def test_a_schedule_that_starts_anew_goes_by_the_newest_backup(tmp_path: Path) -> None:
    place(tmp_path, NOON - timedelta(hours=5))
    assert Schedule(tmp_path, set()).run(timedelta(hours=6))[:2] == [3600, 21600]


def test_a_clock_that_was_ahead_stops_the_schedule_for_an_interval_at_most(tmp_path: Path) -> None:
    place(tmp_path, NOON + timedelta(days=400))
    assert Schedule(tmp_path, set()).run(timedelta(hours=6))[0] == 21600


def test_a_backup_that_fails_is_tried_again_after_ten_minutes(tmp_path: Path) -> None:
    schedule = Schedule(tmp_path, {1, 2})
    assert schedule.run(timedelta(hours=6)) == [0, 600, 600, 21600, 21600]
    assert len(backups_in(tmp_path)) == 2


@contextmanager
def variable(name: str, value: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(name, str(value))
        yield


@pytest.fixture
def keyring(tmp_path: Path) -> Iterator[str]:
    """A keyring with a key of its own; the key's name."""
    need("gpg", "gnupg")
    home = tmp_path / "g"
    home.mkdir(mode=0o700)
    how = ["--batch", "--quiet", "--passphrase", "", "--quick-generate-key"]
    with variable("GNUPGHOME", home):
        subprocess.run(["gpg", *how, "ops@example.com", "future-default"], check=True)
        yield "ops@example.com"
        subprocess.run(["gpgconf", "--kill", "all"], check=True)


def round_trip(folder: Path, recipient: str, identity: str = "") -> tuple[bytes, bytes]:
    """How a backup is stored, and how it comes back."""
    path = folder / "backup"
    with path.open("wb") as file, encrypted(file, recipient) as plain:
        plain.write(TAR)
    with path.open("rb") as stored, decrypted(stored, identity) as back:
        return path.read_bytes(), back.read()


def test_a_backup_to_a_key_of_gnupg_is_read_by_its_owner_alone(
    keyring: str, tmp_path: Path
) -> None:
    stored, back = round_trip(tmp_path, keyring)
    assert back == TAR
    assert b"ustar" not in stored
    strange = tmp_path / "s"
    strange.mkdir(mode=0o700)
    with (
        variable("GNUPGHOME", strange),
        pytest.raises(ProcessFailed, match="gpg failed"),
        (tmp_path / "backup").open("rb") as file,
        decrypted(file),
    ):
        pass


def test_a_backup_to_a_key_of_age_needs_its_identity(tmp_path: Path) -> None:
    need("age")
    identity = tmp_path / "identity"
    subprocess.run(["age-keygen", "-o", identity], check=True, capture_output=True)
    recipient = next(
        line.split()[-1] for line in identity.read_text().splitlines() if "public key" in line
    )
    stored, back = round_trip(tmp_path, recipient, str(identity))
    assert back == TAR
    assert stored.startswith(b"age-encryption.org/")
    with pytest.raises(ProcessFailed, match="say BACKUP_IDENTITY="):
        round_trip(tmp_path, recipient)


def test_without_a_recipient_it_is_stored_as_it_is(tmp_path: Path) -> None:
    assert round_trip(tmp_path, "") == (TAR, TAR)


@pytest.mark.usefixtures("keyring")
def test_an_unknown_recipient_and_a_missing_program_are_told(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed, match="gpg failed"):
        round_trip(tmp_path, "nobody@example.com")
    with (
        variable("PATH", tmp_path),
        pytest.raises(ProcessFailed, match="age is not installed"),
    ):
        round_trip(tmp_path, "age1xyz")


def test_a_key_that_is_none_is_told_though_nothing_more_can_be_written(tmp_path: Path) -> None:
    need("age", "age")
    with (
        pytest.raises(ProcessFailed, match=r"age failed: age: error: .*recipient"),
        (tmp_path / "file").open("wb") as file,
        encrypted(file, "age1nonsense") as plain,
    ):
        plain.write(bytes(10_000_000))


def test_what_is_neither_a_tar_file_nor_encrypted_is_no_backup(tmp_path: Path) -> None:
    for content in (b"", b"no backup at all"):
        (tmp_path / "file").write_bytes(content)
        with (
            pytest.raises(ProcessFailed, match="not a backup"),
            (tmp_path / "file").open("rb") as file,
            decrypted(file),
        ):
            pass
