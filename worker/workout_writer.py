"""The rows of a fold, in the fold's transaction."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from shared import archive
from shared.connections import DatabaseConnection
from shared.sql import load_queries
from shared.telemetry import Samples

QUERIES = load_queries("folds")


def write_workout(
    connection: DatabaseConnection,
    workout_id: UUID,
    samples: Samples,
    summary: dict[str, Any],
    received_at: float | None,
) -> None:
    """Write archive and summary; a workout that was PROCESSING becomes COMPLETED."""
    channels = archive.encode(samples) if len(samples) else []
    with connection.pipeline(), connection.cursor() as cursor:
        cursor.executemany(
            QUERIES["write_channel"],
            [{"workout_id": workout_id, **channel._asdict()} for channel in channels],
        )
        cursor.execute(
            QUERIES["write_summary"],
            {
                "id": workout_id,
                "summary": Jsonb(summary),
                "first": _moment(samples.timestamps[0] / 1000 if len(samples) else None),
                "last": _moment(samples.timestamps[-1] / 1000 if len(samples) else None),
                "duration": summary["duration"],
                "received_at": _moment(received_at),
            },
        )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
