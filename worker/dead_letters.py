"""Events that will never succeed, kept for a person to look at."""

import logging
import traceback

from psycopg.types.json import Jsonb

from shared.connections import Database
from shared.errors import MalformedEntry
from shared.sql import load_queries
from shared.streams import FoldRequest
from worker.inbox import Delivery

QUERIES = load_queries("folds")
logger = logging.getLogger(__name__)


def bury(database: Database, delivery: Delivery, error: BaseException) -> None:
    """Write the event with its reason, and mark its workout FAILED; the samples stay."""
    try:
        workout_id = FoldRequest.from_fields(delivery.fields).workout_id
    except MalformedEntry:
        workout_id = None
    letter = {
        "workout_id": workout_id,
        "event": Jsonb({_text(name): _text(value) for name, value in delivery.fields.items()}),
        "reason": f"{type(error).__name__}: {error}".replace("\0", ""),
        "traceback": "".join(traceback.format_exception(error)).replace("\0", ""),
        "deliveries": delivery.deliveries,
    }
    with database.connection() as connection:
        connection.execute(QUERIES["write_dead_letter"], letter)
        connection.execute(QUERIES["mark_failed"], {"id": workout_id})
    logger.error("gave up on event %s of workout %s: %s", delivery.id.decode(), workout_id, error)


def _text(raw: bytes) -> str:
    return raw.decode(errors="replace").replace("\0", "�")
