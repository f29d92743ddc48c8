"""What a FIT file says of itself, without decoding its records: its kind, and when its rides began.

Thousands of files of an export are no activities, and are told from rides here for next to nothing.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

ACTIVITY: Final = 4  # the kind of file
_EPOCH: Final = 631_065_600  # Unix seconds of FIT's zero
_FILE_ID, _SESSION, _RECORD = 0, 18, 20  # messages
_KIND, _CREATED, _START = 0, 4, 2  # fields
_NONE: Final = 0xFFFFFFFF


@dataclass(frozen=True)
class Scan:
    """``kinds``: of each file in the chain. ``starts``: of sessions, else of files, in ms."""

    kinds: tuple[int, ...]
    starts: tuple[int, ...]


@dataclass(frozen=True)
class _Definition:
    message: int
    order: str
    places: dict[int, tuple[int, int]]  # of fields: offset and size
    size: int


def scan_fit(data: bytes) -> Scan:
    """As far as the file can be followed; nothing is raised for what is damaged."""
    kinds, created, sessions = list[int](), list[int](), list[int]()
    for definition, at in _messages(data):
        if definition.message == _FILE_ID:
            kinds += _values(data, at, definition, _KIND)
            created += _values(data, at, definition, _CREATED)
        elif definition.message == _SESSION:
            sessions += _values(data, at, definition, _START)
    starts = sessions or created
    return Scan(tuple(kinds), tuple(1000 * (each + _EPOCH) for each in starts if each < _NONE))


def has_more_records(data: bytes, most: int) -> bool:
    """Whether the chain holds more records than that; as far as it can be followed."""
    if len(data) <= 2 * most:  # none is shorter than a byte and its header
        return False
    records = (True for definition, _ in _messages(data) if definition.message == _RECORD)
    return next(islice(records, most, None), False)


def end_of_messages(data: bytes, at: int, last: int, end: int) -> int:
    """Where the messages that begin at ``at`` can be followed to.

    None begins at ``last`` or later, and none goes on beyond ``end``.
    """
    sizes: dict[int, int] = {}
    while at < last:
        head = data[at]
        if head & 0xC0 == 0x40:
            defined = _definition(data, at + 1, has_developer_fields=bool(head & 0x20))
            if defined is None or defined[1] > end:
                return at
            sizes[head & 0x0F], at = defined[0].size, defined[1]
            continue
        size = sizes.get((head >> 5) & 0x03 if head & 0x80 else head & 0x0F)
        if size is None or at + 1 + size > end:
            return at
        at += 1 + size
    return at


def _values(data: bytes, at: int, definition: _Definition, number: int) -> list[int]:
    """The field as one number of its size, or none."""
    offset, size = definition.places.get(number, (0, 0))
    packed = {1: "B", 4: "I"}.get(size)
    return list(struct.unpack_from(definition.order + packed, data, at + offset)) if packed else []


def _messages(data: bytes) -> Iterator[tuple[_Definition, int]]:
    """Each data message of each file in the chain: its definition, and where its fields begin."""
    start = 0
    while data[start + 8 : start + 12] == b".FIT":
        end = start + data[start] + int.from_bytes(data[start + 4 : start + 8], "little")
        yield from _messages_of(data, start + data[start], min(end, len(data)))
        start = end + 2  # the checksum


def _messages_of(data: bytes, at: int, end: int) -> Iterator[tuple[_Definition, int]]:
    definitions: dict[int, _Definition] = {}
    while at < end:
        head = data[at]
        at += 1
        if head & 0xC0 == 0x40:
            defined = _definition(data, at, has_developer_fields=bool(head & 0x20))
            if defined is None:
                return
            definitions[head & 0x0F], at = defined
            continue
        local = (head >> 5) & 0x03 if head & 0x80 else head & 0x0F
        definition = definitions.get(local)
        if definition is None or at + definition.size > end:
            return
        yield definition, at
        at += definition.size


def _definition(
    data: bytes, at: int, *, has_developer_fields: bool
) -> tuple[_Definition, int] | None:
    """The definition that begins here, and where it ends; None where the file does."""
    try:
        order = ">" if data[at + 1] else "<"
        (message,) = struct.unpack_from(order + "H", data, at + 2)
        places, size = dict[int, tuple[int, int]](), 0
        count, at = data[at + 4], at + 5
        for _ in range(count):
            places[data[at]] = size, data[at + 1]
            size, at = size + data[at + 1], at + 3
        if has_developer_fields:
            count, at = data[at], at + 1
            size += sum(data[at + 1 + 3 * index] for index in range(count))
            at += 3 * count
    except (IndexError, struct.error):
        return None
    return _Definition(message, order, places, size), at
