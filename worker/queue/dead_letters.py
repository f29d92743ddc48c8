"""Events that will never succeed, kept for a person to look at."""

import logging
import traceback
from pathlib import Path
from typing import Final

import psycopg
from psycopg.types.json import Jsonb

from shared.connections import Database
from shared.errors import MalformedEntry
from shared.events import FoldRequest
from shared.sql import load_queries
from worker.queue.inbox import Delivery

QUERIES = load_queries("dead_letters")
FOLDS = load_queries("folds")
_ROOT: Final = Path(__file__).resolve().parents[2]
logger = logging.getLogger(__name__)


class TooManyDeliveries(Exception):
    """Every worker that took the event died or stalled over it."""


def bury(database: Database, delivery: Delivery, error: BaseException) -> None:
    """Write the event with its reason, and mark its workout FAILED; the samples stay."""
    try:
        workout_id = FoldRequest.from_fields(delivery.fields).workout_id
    except MalformedEntry:
        workout_id = None
    letter = {
        "event_id": delivery.id.decode(),
        "workout_id": workout_id,
        "event": Jsonb({_text(name): _text(value) for name, value in delivery.fields.items()}),
        "reason": explain(error).replace("\0", ""),
        "traceback": "".join(traceback.format_exception(error)).replace("\0", ""),
        "deliveries": delivery.deliveries,
    }
    with database.connection() as connection:
        connection.execute(FOLDS["lock_workout"], {"id": workout_id})
        connection.execute(QUERIES["bury"], letter)
    logger.error("gave up on event %s of workout %s: %s", delivery.id.decode(), workout_id, error)


def explain(error: BaseException) -> str:
    """Why, for whoever runs the service."""
    message = f"{type(error).__name__}: {error}"
    match error:
        case TooManyDeliveries():
            return f"{error}: each worker died or stalled over it; is there enough memory for it?"
        case MemoryError():
            return "a worker has not enough memory for this ride"
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
