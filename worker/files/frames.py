"""What a worker and the process that reads files for it say to each other, through two pipes.

A frame is its length and a message by MessagePack. Nothing that the reading process says is
executed: a file that took it over could say anything.
"""

import struct
from typing import IO, Any, Final, get_args

import msgspec
import numpy as np
from msgspec import Struct

from shared.files.recording import Recording
from shared.files.takeouts import File

_LENGTH: Final = struct.Struct("<Q")


class Request(Struct, tag=True, frozen=True):
    """Read a file that arrived at ``received`` (ms): its rides, or the files in an archive."""

    data: bytes
    received: int
    is_archive: bool


class Ride(Struct, tag=True, frozen=True):
    """One ride of the file."""

    recording: Recording


class Member(Struct, tag=True, frozen=True):
    """One file of the archive."""

    file: File


class End(Struct, tag=True, frozen=True):
    """That was all."""


class Refusal(Struct, tag=True, frozen=True):
    """The file gives nothing (more), for a reason that the user is told."""

    reason: str


class Fault(Struct, tag=True, frozen=True):
    """The program that reads files has failed over it."""

    traceback: str


Reply = Ride | Member | End | Refusal | Fault


def _to_bytes(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tobytes()
    raise NotImplementedError(f"a {type(value)} in a frame")


def _to_array(kind: Any, value: Any) -> Any:
    """An array of the kind that is annotated: ``ndarray[…, dtype[float64]]``."""
    (scalar,) = get_args(get_args(kind)[1])
    return np.frombuffer(value, scalar)


_encoder: Final = msgspec.msgpack.Encoder(enc_hook=_to_bytes)
_requests: Final = msgspec.msgpack.Decoder(Request)
_replies: Final = msgspec.msgpack.Decoder(Reply, dec_hook=_to_array)


def write_frame(stream: IO[bytes], message: Request | Reply) -> None:
    """Send a message. Raises OSError if nobody reads."""
    encoded = _encoder.encode(message)
    stream.write(_LENGTH.pack(len(encoded)))
    stream.write(encoded)
    stream.flush()


def read_request(stream: IO[bytes]) -> Request | None:
    """The next request; None at the end of the stream."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    return _requests.decode(stream.read(_LENGTH.unpack(head)[0]))


def length_of(head: bytes) -> int:
    """How many bytes follow the head of a frame."""
    length: int = _LENGTH.unpack(head)[0]
    return length


def decode_reply(encoded: bytes) -> Reply:
    """A reply. Raises msgspec.DecodeError for what is none."""
    reply: Reply = _replies.decode(encoded)
    return reply


HEAD: Final = _LENGTH.size
