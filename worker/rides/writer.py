"""The rows of a fold, in the fold's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg import Cursor
from psycopg.types.json import Jsonb

from shared.connections import DatabaseConnection, Row
from shared.figures import Summary
from shared.samples.archive import ArchivedChannel, encode
from shared.samples.columns import IntArray
from shared.sql import load_queries
from worker.metrics.bests import Effort
from worker.rides.archive import RideArchive
from worker.rides.efforts import Efforts

FOLDS = load_queries("folds")
RECORDS = load_queries("records")


@dataclass(frozen=True)
class Analysis:
    """What a fold found out: when the ride's samples were, their figures, and what is ranked."""

    timestamps: IntArray
    summary: Summary
    efforts: Efforts


def write_workout(
    connection: DatabaseConnection,
    workout: Row,
    archive: RideArchive,
    analysis: Analysis,
    received_at: float | None,
) -> None:
    """Write archive, summary, bests and records; a PROCESSING workout becomes COMPLETED.

    The rider's row is locked last, and by everyone in that order: no deadlock, and whoever
    ranks records sees the bests of all that ranked before.
    """
    with connection.pipeline(), connection.cursor() as cursor:
        _write_archive(cursor, workout["id"], archive)
        _write_summary(cursor, workout["id"], analysis, received_at)
        _write_efforts(cursor, workout, analysis)
        rider = {"user_id": workout["user_id"], "workout_id": workout["id"]}
        cursor.execute(RECORDS["lock_rider"], rider)
        cursor.execute(RECORDS["refresh_records"], rider)


def write_checkpoint(
    connection: DatabaseConnection,
    workout_id: UUID,
    archive: RideArchive,
    received_at: float | None,
) -> None:
    """Write what has changed of the archive; the figures stay as they are."""
    with connection.pipeline(), connection.cursor() as cursor:
        _write_archive(cursor, workout_id, archive)
        arrival = {"id": workout_id, "received_at": _moment(received_at)}
        cursor.execute(FOLDS["note_arrival"], arrival)


def _write_archive(cursor: Cursor[Row], workout_id: UUID, archive: RideArchive) -> None:
    if archive.anew:
        cursor.execute(FOLDS["delete_archive"], {"workout_id": workout_id})
    rows = [row for part in archive.changed for row in encode(archive.parts[part], part)]
    if rows:
        columns = _columns(ArchivedChannel._fields, rows)
        cursor.execute(FOLDS["write_channels"], {"workout_id": workout_id, **columns})


def _columns(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def _write_summary(
    cursor: Cursor[Row], workout_id: UUID, analysis: Analysis, received_at: float | None
) -> None:
    times = analysis.timestamps / 1000
    cursor.execute(
        FOLDS["write_summary"],
        {
            "id": workout_id,
            "summary": Jsonb(analysis.summary),
            "first": _moment(times[0] if len(times) else None),
            "last": _moment(times[-1] if len(times) else None),
            "duration": analysis.summary.duration,
            "received_at": _moment(received_at),
        },
    )


def _write_efforts(cursor: Cursor[Row], workout: Row, analysis: Analysis) -> None:
    rider = {"user_id": workout["user_id"], "workout_id": workout["id"]}
    curve = analysis.efforts.power_curve
    cursor.execute(RECORDS["delete_bests"], rider)
    bests = [
        (metric, *effort)
        for metric, efforts in sorted(analysis.efforts.bests.items())
        for effort in efforts
    ]
    if bests:
        columns = _columns(("metric", *Effort._fields), bests)
        cursor.execute(RECORDS["write_bests"], {**rider, **columns})
    cursor.execute(RECORDS["delete_curve"], rider)
    if curve:
        drawn = {
            "ridden_at": _moment(analysis.timestamps[0] / 1000),
            "durations": [effort.duration for effort in curve],
            "watts": [round(effort.value, 2) for effort in curve],
        }
        cursor.execute(RECORDS["write_curve"], {**rider, **drawn})


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
