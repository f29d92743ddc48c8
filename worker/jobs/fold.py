"""The fold: everything that reaches PostgreSQL goes through this one idempotent operation."""

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from psycopg.rows import class_row
from redis.exceptions import OutOfMemoryError

from shared.connections import Database, DatabaseConnection, Redis, Row
from shared.failpoints import failpoint
from shared.redis_keys import BATCH_FIELD, SEALED_COMPLETED, SEALED_FOR, samples_key, sealed_key
from shared.samples import stream_codec
from shared.samples.archive import WHOLE, ArchivedChannel, decode_parts, split
from shared.samples.columns import Samples
from shared.sql import load_queries
from worker.rides.archive import MOST_PARTS, merge_archive
from worker.rides.athlete import Athlete
from worker.rides.efforts import rank_efforts
from worker.rides.ride import Ride
from worker.rides.summary import summarize
from worker.rides.writer import Analysis, write_checkpoint, write_workout

FOLDS = load_queries("folds")
WORKOUTS = load_queries("workouts")
RECORDS = load_queries("records")
_CHUNK: Final = 1000  # entries a reply
_SHARE: Final = 10  # of the ride: one in so many of its samples
# An empty stream would stay for ever; in one step, as an upload may come between two.
_TRIM: Final = """
redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1])
if redis.call('XLEN', KEYS[1]) == 0 then redis.call('DEL', KEYS[1]) end
"""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Waiting:
    """Batches not yet folded, in order of arrival; ``last_id`` is the newest one's entry id."""

    entries: list[bytes]
    last_id: str | None

    @property
    def received_at(self) -> float | None:
        """When the newest batch arrived, in Unix seconds: Redis put it into the id."""
        return int(self.last_id.partition("-")[0]) / 1000 if self.last_id else None


def fold(database: Database, redis: Redis, workout_id: UUID) -> bool:
    """Merge a workout's waiting samples into its archive and bring its figures up to date.

    Repeating it, wherever it was cut off, gives the same rows: samples are merged by timestamp,
    and are taken from the stream only after the commit. False if there was nothing to do.
    """
    with database.connection() as connection:
        waiting = _fold_locked(connection, redis, workout_id)
        failpoint("before-commit")
    failpoint("after-commit")
    if waiting is None:
        return False
    if waiting.last_id:
        _trim(redis, samples_key(workout_id), waiting.last_id)
    return True


def _fold_locked(connection: DatabaseConnection, redis: Redis, workout_id: UUID) -> Waiting | None:
    """The fold's transaction. Returns what may be trimmed once it is committed."""
    # A pipeline ends before any work begins: within one, PostgreSQL would not see us idle, and
    # never end the transaction of a worker that stalls.
    with connection.pipeline():
        connection.execute(FOLDS["limit_waits"])
        workout = connection.execute(FOLDS["lock_workout"], {"id": workout_id}).fetchone()
    if workout is None or workout["status"] in ("DELETED", "FAILED"):
        return None
    completing = workout["status"] == "PROCESSING"
    if completing:
        # The API may have died before it sealed. Sealing before reading means that an upload
        # either is read here, or sees the seal and asks for another fold.
        _seal(redis, sealed_key(workout_id))
    waiting = read_waiting(redis, samples_key(workout_id))
    if not (waiting.entries or completing or workout["stale"]):
        return None
    _write(connection, workout, waiting)
    logger.info(
        "folded %d batches into %s: %s",
        len(waiting.entries),
        workout_id,
        "completed" if completing else workout["status"].lower(),
    )
    return waiting


def _write(connection: DatabaseConnection, workout: Row, waiting: Waiting) -> None:
    """Merge what waits into the archive and, where due, bring the figures up to date."""
    samples = stream_codec.decode(waiting.entries)
    fresh = dict(split(samples))
    if _are_figures_due(workout, len(samples)) or len(fresh) > MOST_PARTS:
        archive = merge_archive(_read_parts(connection, workout["id"]), fresh)
        analysis = _analyse(connection, workout, archive.samples())
        failpoint("mid-fold")
        write_workout(connection, workout, archive, analysis, waiting.received_at)
    else:
        archived = _read_parts(connection, workout["id"], [WHOLE, *fresh])
        archive = merge_archive(archived, fresh)
        failpoint("mid-fold")
        write_checkpoint(connection, workout["id"], archive, waiting.received_at)


def _are_figures_due(workout: Row, fresh: int) -> bool:
    """Whether to compute them: at a checkpoint only once a tenth of the ride is new to them.

    So all checkpoints of a ride together cost a few times what the ride itself does, however long.
    """
    if workout["status"] not in ("ACTIVE", "PAUSED") or workout["stale"]:
        return True
    new = workout["archived"] + fresh - workout["summarized"]
    return bool(_SHARE * new >= workout["summarized"])


def _seal(redis: Redis, key: str) -> None:
    """A full Redis refuses, as it does uploads; the sweeper finds what slips in all the same."""
    with suppress(OutOfMemoryError):
        redis.set(key, SEALED_COMPLETED, ex=SEALED_FOR, nx=True)


def _analyse(connection: DatabaseConnection, workout: Row, samples: Samples) -> Analysis:
    ride = Ride(samples)
    excluded = [(each.lower / 1000, each.upper / 1000) for each in workout["excluded_ranges"]]
    efforts = rank_efforts(ride, excluded)
    if workout["excluded"]:
        efforts = efforts.unranked()
    return Analysis(
        samples.timestamps, summarize(ride, _athlete(connection, workout, samples)), efforts
    )


def _athlete(connection: DatabaseConnection, workout: Row, samples: Samples) -> Athlete:
    """The rider's figures on the day of the ride."""
    moment = workout["start_time"]
    if len(samples):
        moment = datetime.fromtimestamp(samples.timestamps[0] / 1000, UTC)
    with connection.cursor(row_factory=class_row(Athlete)) as cursor:
        cursor.execute(RECORDS["athlete_on"], {"user_id": workout["user_id"], "moment": moment})
        return cursor.fetchone() or Athlete()


def read_waiting(redis: Redis, key: str) -> Waiting:
    """The whole stream, read in chunks."""
    entries: list[bytes] = []
    last_id, start = None, "-"
    while True:
        chunk: Any = redis.xrange(key, min=start, count=_CHUNK)
        entries += [fields[BATCH_FIELD] for _, fields in chunk]
        if chunk:
            last_id = chunk[-1][0].decode()
            start = f"({last_id}"
        if len(chunk) < _CHUNK:
            return Waiting(entries, last_id)


def _read_parts(
    connection: DatabaseConnection, workout_id: UUID, parts: list[int] | None = None
) -> dict[int, Samples]:
    """The archived parts of a workout, or those of the given numbers."""
    with connection.cursor(row_factory=class_row(ArchivedChannel)) as cursor:
        cursor.execute(WORKOUTS["read_channels"], {"id": workout_id, "parts": parts})
        return decode_parts(cursor.fetchall())


def _trim(redis: Redis, key: str, last_id: str) -> None:
    """Remove exactly the entries up to ``last_id``; later ones were not read."""
    milliseconds, _, sequence = last_id.partition("-")
    redis.eval(_TRIM, 1, key, f"{milliseconds}-{int(sequence) + 1}")
