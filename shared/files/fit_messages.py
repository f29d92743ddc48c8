"""The messages of a FIT file, by two decoders.

`pyfitparsernative` (Rust) reads sound files, five to ten times as fast as the others. Whatever it
refuses, truncated files and wrong checksums among them, `fitdecode` reads as far as it goes.
"""

import logging
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import fitdecode
import pyfitparsernative

logger = logging.getLogger(__name__)

Message = dict[str, Any]  # "message_type", and the fields by name; one without a value is absent

_FIT_EPOCH: Final = datetime(1989, 12, 31, tzinfo=UTC)
_TIMES: Final = frozenset({"timestamp", "start_time", "local_timestamp", "time_created"})
_PANIC: Final = "pyo3_runtime"  # the module of what a panic in Rust raises, a BaseException


class Decoded(NamedTuple):
    """The messages of each FIT file in a chain of them, and what was lost, in the rider's words."""

    parts: list[list[Message]]
    problem: str | None


def is_fit(data: bytes) -> bool:
    """Whether the bytes begin like a FIT file."""
    return data[8:12] == b".FIT"


def has_time(message: Message) -> bool:
    """Whether a message says when it was; a damaged file may have a list of times there."""
    return isinstance(message.get("timestamp"), str)


def decode(data: bytes) -> Decoded:
    """Every message that can be read. Damaged bytes raise nothing: what came before them counts.

    Times are ISO 8601 in UTC without an offset, enumerations their names, positions semicircles.
    """
    messages = _decode_fast(data)
    if messages is None:
        return salvage(data)
    return Decoded(_parts(messages), None)


def salvage(data: bytes) -> Decoded:
    """The same by the slower decoder, as far as it goes."""
    messages: list[Message] = []
    problem = None
    try:
        problem = _read_frames(data, messages)
    except MemoryError:  # no fault of the file's: what follows is there
        raise
    except Exception as error:  # whatever damage does to the decoder, what it has read counts
        logger.info("stopped within a damaged FIT file: %s", error)
        count = sum(message["message_type"] == "record" for message in messages)
        problem = f"the file is damaged or cut off: what follows reading {count} is lost"
    return Decoded(_parts(messages), problem)


def _decode_fast(data: bytes) -> list[Message] | None:
    """None where the slower decoder must read the file."""
    try:
        messages = pyfitparsernative.parse_fit_bytes(data)
    except ValueError:
        return None
    except BaseException as error:
        if type(error).__module__ != _PANIC:
            raise
        return None
    # Speed and distance in three bytes, which only the other decoder takes apart.
    return None if any("compressed_speed_distance" in message for message in messages) else messages


def _read_frames(data: bytes, into: list[Message]) -> str | None:
    reader = fitdecode.FitReader(
        data,
        processor=None,
        check_crc=fitdecode.CrcCheck.READONLY,
        error_handling=fitdecode.ErrorHandling.IGNORE,
    )
    problem = None
    with reader:
        for frame in reader:
            if isinstance(frame, fitdecode.FitDataMessage):
                into.append(dict(_fields(frame)))
            elif isinstance(frame, fitdecode.FitCRC) and frame.matched is False:
                problem = "the file's checksum is wrong: some of its readings may be, too"
    return problem


def _fields(message: Any) -> Iterator[tuple[str, object]]:
    yield "message_type", message.name
    for field in message.fields:
        if field.value is None:
            continue
        if field.name in _TIMES:
            yield field.name, _iso(field.value)
        else:
            yield _name(field), field.value


def _name(field: Any) -> str:
    """The name that the other decoder gives a field: it knows no names for what a value implies."""
    if isinstance(field.field_def, fitdecode.types.DevFieldDefinition):
        return f"developer_field_{field.def_num}"
    of_value = isinstance(field.field, fitdecode.types.SubField)
    return str(field.parent_field.name if of_value else field.name)


def _iso(seconds: object) -> str | None:
    if not isinstance(seconds, int):
        return None
    return (_FIT_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()


def _parts(messages: Iterable[Message]) -> list[list[Message]]:
    """Each file of a chain begins with its `file_id`."""
    parts: list[list[Message]] = []
    for message in messages:
        if not parts or message["message_type"] == "file_id":
            parts.append([])
        parts[-1].append(message)
    return parts
