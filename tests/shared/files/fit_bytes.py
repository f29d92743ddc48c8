"""FIT files made by hand: a message is its number and its fields, and everything is little-endian.

An own encoder, so that what is read here was not written by what reads it.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

FIT_EPOCH: Final = 631_065_600  # Unix seconds of 1989-12-31
T0: Final = 1_700_000_000  # 2023-11-14T22:13:20Z, in Unix seconds

# Base types, and how each is packed.
ENUM, UINT8, SINT8, UINT16, SINT32, UINT32, UINT32Z, STRING, BYTE, FLOAT32 = (
    *(0x00, 0x02, 0x01, 0x84, 0x85, 0x86, 0x8C, 0x07, 0x0D, 0x88),
)
_PACKED: Final = {
    ENUM: "B",
    UINT8: "B",
    SINT8: "b",
    UINT16: "H",
    SINT32: "i",
    UINT32: "I",
    UINT32Z: "I",
    BYTE: "B",
}

FILE_ID, SESSION, LAP, RECORD, EVENT, DEVICE_INFO = 0, 18, 19, 20, 21, 23
ACTIVITY, HR, FIELD_DESCRIPTION, DEVELOPER_DATA_ID = 34, 132, 206, 207

Value = int | bytes | tuple[int, ...]


@dataclass(frozen=True)
class Message:
    """``fields``: number → base type and raw value; ``developer``: number → size and raw value."""

    number: int
    fields: dict[int, tuple[int, Value]]
    developer: dict[int, bytes] = field(default_factory=dict)


def stamp(unix_seconds: int) -> tuple[int, Value]:
    return (UINT32, unix_seconds - FIT_EPOCH)


def file_id(kind: int = 4, maker: int = 1, product: int = 1567, serial: int = 12345) -> Message:
    """Kind 4 is an activity, maker 1 Garmin, product 1567 an Edge 810."""
    fields = {0: (ENUM, kind), 1: (UINT16, maker), 2: (UINT16, product), 3: (UINT32Z, serial)}
    return Message(FILE_ID, {**fields, 4: stamp(T0)})


def record(second: int, developer: dict[int, bytes] | None = None, **fields: int) -> Message:
    """A reading so many seconds after T0, of raw values."""
    numbers = {
        "lat": (0, SINT32),
        "lng": (1, SINT32),
        "altitude": (2, UINT16),
        "heartrate": (3, UINT8),
        "cadence": (4, UINT8),
        "distance": (5, UINT32),
        "speed": (6, UINT16),
        "power": (7, UINT16),
        "temperature": (13, SINT8),
        "balance": (30, UINT8),
    }
    values: dict[int, tuple[int, Value]] = {253: stamp(T0 + second)}
    for name, value in fields.items():
        number, base = numbers[name]
        values[number] = (base, value)
    return Message(RECORD, values, developer or {})


def session(second: int, seconds: int, sport: int = 2, sub_sport: int = 0, **more: int) -> Message:
    """Sport 2 is cycling, 1 running, 3 a transition. ``more``: figures of a device."""
    numbers = {"work": (48, UINT32), "np": (34, UINT16), "tss": (35, UINT16), "ftp": (45, UINT16)}
    numbers |= {"avg_power": (20, UINT16), "max_power": (21, UINT16), "ascent": (22, UINT16)}
    numbers |= {"calories": (11, UINT16), "distance": (9, UINT32)}
    values: dict[int, tuple[int, Value]] = {
        253: stamp(T0 + second + seconds),
        2: stamp(T0 + second),
        5: (ENUM, sport),
        6: (ENUM, sub_sport),
        7: (UINT32, seconds * 1000),
        8: (UINT32, seconds * 1000),
    }
    values |= {numbers[name][0]: (numbers[name][1], value) for name, value in more.items()}
    return Message(SESSION, values)


def lap(second: int, seconds: int, **more: int) -> Message:
    """``more``: figures of a device."""
    numbers = {"work": (41, UINT32), "avg_power": (19, UINT16), "max_power": (20, UINT16)}
    values: dict[int, tuple[int, Value]] = {
        253: stamp(T0 + second + seconds),
        2: stamp(T0 + second),
        7: (UINT32, seconds * 1000),
    }
    values |= {numbers[name][0]: (numbers[name][1], value) for name, value in more.items()}
    return Message(LAP, values)


def timer(second: int, kind: int) -> Message:
    """Kind 0 starts the timer, 4 stops it."""
    return Message(EVENT, {253: stamp(T0 + second), 0: (ENUM, 0), 1: (ENUM, kind)})


def activity(second: int, offset: int | None = None) -> Message:
    values: dict[int, tuple[int, Value]] = {253: stamp(T0 + second)}
    if offset is not None:
        values[5] = stamp(T0 + second + offset)
    return Message(ACTIVITY, values)


def fit_file(*messages: Message) -> bytes:
    """The file, with a header of 14 bytes and both checksums."""
    body = b"".join(_encoded(messages))
    head = struct.pack("<BBHI4s", 14, 0x20, 2132, len(body), b".FIT")
    head += struct.pack("<H", checksum(head))
    return head + body + struct.pack("<H", checksum(head + body))


def checksum(data: bytes) -> int:
    """CRC-16 as FIT has it (the ARC polynomial, reflected), a bit at a time."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def _encoded(messages: Iterable[Message]) -> Iterable[bytes]:
    for message in messages:
        bodies = {number: _packed(*value) for number, value in message.fields.items()}
        yield _definition(message, bodies)
        yield b"\0" + b"".join(bodies.values()) + b"".join(message.developer.values())


def _definition(message: Message, bodies: dict[int, bytes]) -> bytes:
    """A definition before each message: no shorter file is wanted here."""
    flags = 0x60 if message.developer else 0x40
    head = struct.pack("<BBBHB", flags, 0, 0, message.number, len(bodies))
    for number, body in bodies.items():
        head += bytes((number, len(body), message.fields[number][0]))
    if message.developer:
        head += bytes([len(message.developer)])
        for number, body in message.developer.items():
            head += bytes((number, len(body), 0))
    return head


def _packed(base: int, value: Value) -> bytes:
    if isinstance(value, bytes):
        return value
    values = value if isinstance(value, tuple) else (value,)
    return struct.pack(f"<{len(values)}{_PACKED[base]}", *values)
