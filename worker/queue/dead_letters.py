"""Dead letters: events that were given up, kept for a person to look at and to replay."""

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
from psycopg.types.json import Jsonb

from shared.connections import DatabaseConnection
from shared.errors import MalformedEntry
from shared.events import Fields
from shared.sql import load_queries
from worker.queue.lane import Delivery

QUERIES = load_queries("dead_letters")
_ROOT: Final = Path(__file__).resolve().parents[2]


class TooManyDeliveries(Exception):
    """Every worker that took the event died or stalled over it."""


@dataclass(frozen=True)
class DeadLetter:
    """An event that is given up, and why."""

    event_id: str
    event: Fields
    reason: str
    traceback: str
    deliveries: int


def letter_about(delivery: Delivery, error: BaseException) -> DeadLetter:
    """The letter that says why this delivery was the event's last."""
    return DeadLetter(
        delivery.id.decode(),
        delivery.fields,
        explain(error).replace("\0", ""),
        "".join(traceback.format_exception(error)).replace("\0", ""),
        delivery.deliveries,
    )


def write_letter(connection: DatabaseConnection, letter: DeadLetter) -> bool:
    """Write the letter, about no workout so far. False if the event has one already."""
    written = connection.execute(
        QUERIES["write_letter"],
        {
            "event_id": letter.event_id,
            "event": Jsonb({_text(name): _text(value) for name, value in letter.event.items()}),
            "reason": letter.reason,
            "traceback": letter.traceback,
            "deliveries": letter.deliveries,
        },
    )
    return written.fetchone() is not None


def explain(error: BaseException) -> str:
    """Why, for whoever runs the service."""
    message = f"{type(error).__name__}: {error}"
    match error:
        case TooManyDeliveries():
            return f"{error}: each worker died or stalled over it; is there enough memory for it?"
        case MemoryError():
            return "a worker has not enough memory for it"
        case MalformedEntry():
            return f"what is stored cannot be read: {error}"
        case psycopg.Error():
            return f"PostgreSQL refuses the result: {message}"
        case _:
            return f"the computation fails{_place(error)}: {message}"


def _place(error: BaseException) -> str:
    """The innermost line of ours that the error passed."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(_ROOT) and "site-packages" not in path.parts:
            return f" at {path.relative_to(_ROOT)}:{frame.lineno}"
    return ""


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace").replace("\0", "�")
