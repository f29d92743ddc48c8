"""Backups encrypted to a recipient, by age or GnuPG where they are installed.

``BACKUP_RECIPIENT`` names a public key: ``age1…`` or ``ssh-…`` one of age, anything else one of
GnuPG's keyring. Only who has the private key can read the backup, and that key is best kept
elsewhere. For a restore, age reads it from ``BACKUP_IDENTITY``, and GnuPG from its keyring.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Final

from ops.backups.programs import first_error
from ops.processes import ProcessFailed

_TAR: Final = slice(257, 262), b"ustar"
_AGE: Final = (b"age-encryption.org/", b"-----BEGIN AGE")
_AGE_KEYS: Final = ("age1", "ssh-")
_HEAD: Final = 512  # bytes: a block of tar


@contextmanager
def encrypted(target: IO[bytes], recipient: str) -> Iterator[IO[bytes]]:
    """What is written to the yielded file arrives encrypted; as it is, without a recipient."""
    if not recipient:
        yield target
        return
    command = _encrypting(recipient)
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=target, stderr=errors)
        try:
            with process, process.stdin or tempfile.TemporaryFile() as plain:
                yield plain
        except BrokenPipeError:  # it has ended before us, and has said why
            _require_success(command, process, errors)
            raise
        _require_success(command, process, errors)


@contextmanager
def decrypted(source: IO[bytes], identity: str = "") -> Iterator[IO[bytes]]:
    """A backup as it was before it was encrypted, if it was. Raises ProcessFailed."""
    # Standard input cannot be read twice; and what is read ahead a program would not see.
    with tempfile.TemporaryFile(buffering=0) as whole:
        shutil.copyfileobj(source, whole)
        whole.seek(0)
        head = whole.read(_HEAD)
        whole.seek(0)
        place, magic = _TAR
        if head[place] == magic:
            yield whole
        else:
            with _decrypting(whole, _decryption(head, identity)) as plain:
                yield plain


@contextmanager
def _decrypting(source: IO[bytes], command: list[str]) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as plain, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdin=source, stdout=plain, stderr=errors)
        process.wait()
        _require_success(command, process, errors)
        plain.seek(0)
        yield plain


def _encrypting(recipient: str) -> list[str]:
    if recipient.startswith(_AGE_KEYS):
        return [_program("age"), "--encrypt", "--recipient", recipient]
    how = ["--batch", "--yes", "--quiet", "--trust-model", "always", "--compress-algo", "none"]
    return [_program("gpg"), *how, "--encrypt", "--recipient", recipient]


def _decryption(head: bytes, identity: str) -> list[str]:
    if head.startswith(_AGE):
        if not identity:
            raise ProcessFailed(
                "it is encrypted by age: say BACKUP_IDENTITY=file of the private key"
            )
        return [_program("age"), "--decrypt", "--identity", identity]
    if not head or not head[0] & 0x80:  # what begins every packet of OpenPGP
        raise ProcessFailed("this is not a backup: neither a tar file nor an encrypted one")
    return [_program("gpg"), "--batch", "--quiet", "--decrypt"]


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ProcessFailed(f"{name} is not installed: apt-get install {name}")
    return found


def _require_success(
    command: list[str], process: subprocess.Popen[bytes], errors: IO[bytes]
) -> None:
    if process.returncode:
        errors.seek(0)
        raise ProcessFailed(first_error(command, errors.read().decode(errors="replace")))
