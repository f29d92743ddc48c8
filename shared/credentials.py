"""API keys: ``bpt_<id>_<256 random bits>``. Shown once; PostgreSQL holds only the hash."""

import hashlib
import re
import secrets
from typing import Final, NamedTuple

SCOPES: Final = ("upload", "read", "admin")
_FORMAT: Final = re.compile(r"bpt_([0-9a-f]{16})_[0-9a-f]{64}", re.ASCII)


class NewKey(NamedTuple):
    """A fresh key: its public id, the secret text for its owner, and the hash to store."""

    id: str
    text: str
    hash: bytes


def make_key() -> NewKey:
    """A new random key."""
    key_id = secrets.token_hex(8)
    text = f"bpt_{key_id}_{secrets.token_hex(32)}"
    return NewKey(key_id, text, hash_key(text))


def key_id_of(text: str) -> str | None:
    """The public id within a key; None if the text does not have the form of one."""
    match = _FORMAT.fullmatch(text)
    return match[1] if match else None


def hash_key(text: str) -> bytes:
    """The SHA-256 of a key or another random code: too long to guess, so it need not be slow."""
    return hashlib.sha256(text.encode()).digest()
