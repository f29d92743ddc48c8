"""The messages of a FIT file, by two decoders.

`pyfitparsernative` (Rust) reads sound files, five to ten times as fast as the others. What it
refuses gets a header and checksums that suit its messages, and is tried again; what it refuses even
then, `fitdecode` reads as far as it goes.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import fitdecode
import pyfitparsernative

from shared.files import fit_chain

logger = logging.getLogger(__name__)

Message = dict[str, Any]  # "message_type", and the fields by name; one without a value is absent

_FIT_EPOCH: Final = datetime(1989, 12, 31, tzinfo=UTC)
_TIMES: Final = frozenset({"timestamp", "start_time", "local_timestamp", "time_created"})
_PANIC: Final = "pyo3_runtime"  # the module of what a panic in Rust raises, a BaseException


class Decoded(NamedTuple):
    """The messages of each FIT file of a chain, and what was lost, in words for the rider."""

    parts: list[list[Message]]
    problem: str | None


class _One(NamedTuple):
    """The same of one file."""

    messages: list[Message]
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
    return _all_of(data, _decode_one)


def salvage(data: bytes) -> Decoded:
    """The same by the slower decoder alone."""
    return _all_of(data, _salvage_one)


def _all_of(data: bytes, decode_one: Callable[[bytes], _One]) -> Decoded:
    """Of each file of the chain by itself: what is wrong with one costs the others nothing."""
    parts, problems = list[list[Message]](), dict[str, None]()
    for file in fit_chain.files_of(data):
        messages, problem = decode_one(file.data)
        if messages:
            parts.append(messages)
        found = problem, fit_chain.STRAY_BYTES if file.stray else None
        problems |= {each: None for each in found if each}
    return Decoded(parts, "; ".join(problems) or None)


def _decode_one(data: bytes) -> _One:
    """By the fast decoder as it stands, then as it should be; else by the slow one."""
    messages = _decode_fast(data)
    if messages is not None:
        return _One(messages, None)
    mended = fit_chain.mended(data)
    messages = _decode_fast(mended.data)
    if messages is None:
        return _salvage_mended(mended)
    return _One(messages, _problem_of(mended, messages))


def _salvage_one(data: bytes) -> _One:
    return _salvage_mended(fit_chain.mended(data))


def _salvage_mended(mended: fit_chain.Mended) -> _One:
    messages: list[Message] = []
    problem = None
    try:
        _read_frames(mended.data, messages)
    except MemoryError:  # no fault of the file's: what follows is there
        raise
    except Exception as error:  # whatever damage does to the decoder, what it has read counts
        logger.info("stopped within a damaged FIT file: %s", error)
        problem = _lost_after(messages)
    return _One(messages, problem or _problem_of(mended, messages))


def _problem_of(mended: fit_chain.Mended, messages: list[Message]) -> str | None:
    if mended.is_cut:
        return _lost_after(messages)
    return fit_chain.WRONG_CHECKSUM if mended.is_doubtful else None


def _lost_after(messages: list[Message]) -> str:
    count = sum(message["message_type"] == "record" for message in messages)
    return f"the file is damaged or cut off: what follows reading {count} is lost"


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


def _read_frames(data: bytes, into: list[Message]) -> None:
    reader = fitdecode.FitReader(
        data,
        processor=None,
        check_crc=fitdecode.CrcCheck.DISABLED,
        error_handling=fitdecode.ErrorHandling.IGNORE,
    )
    with reader:
        messages = (frame for frame in reader if isinstance(frame, fitdecode.FitDataMessage))
        into.extend(dict(_fields(message)) for message in messages)  # as far as it goes


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
