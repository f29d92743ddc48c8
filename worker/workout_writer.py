"""The rows of a fold, in the fold's transaction."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg import Cursor
from psycopg.types.json import Jsonb

from shared import archive
from shared.connections import DatabaseConnection, Row
from shared.sql import load_queries
from shared.telemetry import Samples
from worker.efforts import Efforts

FOLDS = load_queries("folds")
RECORDS = load_queries("records")


@dataclass(frozen=True)
class Analysis:
    """What a fold found out: the merged samples, their figures, and what is ranked of them."""

    samples: Samples
    summary: dict[str, Any]
    efforts: Efforts


def write_workout(
    connection: DatabaseConnection,
    workout: Row,
    analysis: Analysis,
    received_at: float | None,
) -> None:
    """Write archive, summary, bests and records; a PROCESSING workout becomes COMPLETED.

    The rider's row is locked last, and by everyone in that order: no deadlock, and whoever
    ranks records sees the bests of all that ranked before.
    """
    with connection.pipeline(), connection.cursor() as cursor:
        _write_archive(cursor, workout["id"], analysis.samples)
        _write_summary(cursor, workout["id"], analysis, received_at)
        _write_efforts(cursor, workout, analysis)
        rider = {"user_id": workout["user_id"], "workout_id": workout["id"]}
        cursor.execute(RECORDS["lock_rider"], rider)
        cursor.execute(RECORDS["refresh_records"], rider)


def _write_archive(cursor: Cursor[Row], workout_id: UUID, samples: Samples) -> None:
    cursor.executemany(
        FOLDS["write_channel"],
        [{"workout_id": workout_id, **channel._asdict()} for channel in archive.encode(samples)],
    )


def _write_summary(
    cursor: Cursor[Row], workout_id: UUID, analysis: Analysis, received_at: float | None
) -> None:
    times = analysis.samples.timestamps / 1000
    cursor.execute(
        FOLDS["write_summary"],
        {
            "id": workout_id,
            "summary": Jsonb(analysis.summary),
            "first": _moment(times[0] if len(times) else None),
            "last": _moment(times[-1] if len(times) else None),
            "duration": analysis.summary["duration"],
            "received_at": _moment(received_at),
        },
    )


def _write_efforts(cursor: Cursor[Row], workout: Row, analysis: Analysis) -> None:
    rider = {"user_id": workout["user_id"], "workout_id": workout["id"]}
    curve = analysis.efforts.power_curve
    cursor.execute(RECORDS["delete_bests"], rider)
    cursor.executemany(
        RECORDS["write_best"],
        [
            {**rider, "metric": metric, **effort._asdict()}
            for metric, efforts in sorted(analysis.efforts.bests.items())
            for effort in efforts
        ],
    )
    cursor.execute(RECORDS["delete_curve"], rider)
    if curve:
        drawn = {
            "ridden_at": _moment(analysis.samples.timestamps[0] / 1000),
            "durations": [effort.duration for effort in curve],
            "watts": [round(effort.value, 2) for effort in curve],
        }
        cursor.execute(RECORDS["write_curve"], {**rider, **drawn})


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
