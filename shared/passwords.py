"""Passwords by argon2id, with the memory and passes of RFC 9106's second recommendation."""

import secrets
import unicodedata
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

_HASHER: Final = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=1)
# Computes as much as any other hash, and took nothing to make: each process would wait for it.
_NOBODYS: Final = (
    f"$argon2id$v=19$m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    f"${'A' * 22}${'A' * 43}"
)


def hash_password(password: str) -> str:
    """What to store of a password: parameters, salt and hash in one text."""
    return _HASHER.hash(_normal(password))


def matches(stored: str | None, password: str) -> bool:
    """Whether it is the password. Without a stored one it takes as long: the time tells nothing."""
    try:
        return _HASHER.verify(stored or _NOBODYS, _normal(password)) and stored is not None
    except VerificationError:
        return False


def is_outdated(stored: str) -> bool:
    """Whether a hash was made with other parameters than those of today."""
    return _HASHER.check_needs_rehash(stored)


def make_password() -> str:
    """A random password."""
    return secrets.token_urlsafe(18)


def _normal(password: str) -> str:
    """One form of texts that look the same: keyboards differ in how they write an accent."""
    return unicodedata.normalize("NFKC", password)
