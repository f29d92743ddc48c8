"""Workouts as the worker sees them: rows in PostgreSQL, batches and events in Redis."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import UUID

from psycopg import sql
from psycopg.rows import class_row
from redis.exceptions import ResponseError

from shared.connections import Database, Redis, Row
from shared.events import FoldRequest
from shared.redis_keys import ASKED_FOR, BATCH_FIELD, GROUP, Queue, asked_key, samples_key
from shared.samples import archive, stream_codec
from shared.samples.archive import ArchivedChannel
from shared.samples.columns import Samples


@dataclass(frozen=True)
class Workouts:
    """The workouts of one user."""

    database: Database
    redis: Redis
    user_id: str

    def start(self, status: str = "ACTIVE", **seconds_ago: float) -> UUID:
        """A new workout; ``created_at=60`` sets that column to a minute ago."""
        with self.database.connection() as connection:
            row = connection.execute(
                "INSERT INTO workouts (user_id, status) VALUES (%s, %s) RETURNING id",
                [self.user_id, status],
            ).fetchone()
        assert row is not None
        workout_id: UUID = row["id"]
        self.backdate(workout_id, **seconds_ago)
        return workout_id

    def backdate(self, workout_id: UUID, **seconds_ago: float) -> None:
        for column, seconds in seconds_ago.items():
            self._update(workout_id, column, sql.SQL("now() - make_interval(secs => %s)"), seconds)

    def set_status(self, workout_id: UUID, status: str) -> None:
        self._update(workout_id, "status", sql.SQL("%s"), status)

    def complete(self, workout_id: UUID) -> None:
        """What the API commits when a rider completes the ride."""
        self.set_status(workout_id, "PROCESSING")
        self.backdate(workout_id, completed_at=0, fold_asked_at=0)

    def send(self, workout_id: UUID, *batches: Samples, entry_id: str = "*") -> None:
        """Append batches as the API does."""
        for batch in batches:
            entry: Any = {BATCH_FIELD: stream_codec.encode(batch)}
            self.redis.xadd(samples_key(workout_id), entry, id=entry_id)

    def ask(self, *workout_ids: UUID) -> None:
        """Ask the workers for folds."""
        for workout_id in workout_ids:
            self.redis.set(asked_key(workout_id, Queue.PROMPT), b"", ex=ASKED_FOR)
            self.redis.xadd(Queue.PROMPT, FoldRequest(workout_id).fields())

    def asked(self) -> list[UUID]:
        """The workouts whose folds are asked for, the most urgent first."""
        return [workout_id for queue in Queue for workout_id in self.asked_in(queue)]

    def asked_in(self, queue: Queue) -> list[UUID]:
        """The workouts whose folds are asked for in a queue, in its order."""
        entries: Any = self.redis.xrange(queue)
        requests = [fields for _, fields in entries if fields[b"kind"] == b"fold"]
        return [FoldRequest.from_fields(fields).workout_id for fields in requests]

    def waiting(self, workout_id: UUID) -> int:
        """How many batches wait in Redis."""
        return int(self.redis.xlen(samples_key(workout_id)))

    def row(self, workout_id: UUID) -> Row:
        with self.database.connection() as connection:
            row = connection.execute(
                "SELECT * FROM workouts WHERE id = %s", [workout_id]
            ).fetchone()
        assert row is not None
        return row

    def status(self, workout_id: UUID) -> str:
        return str(self.row(workout_id)["status"])

    def channels(self, workout_id: UUID) -> list[ArchivedChannel]:
        with (
            self.database.connection() as connection,
            connection.cursor(row_factory=class_row(ArchivedChannel)) as cursor,
        ):
            return cursor.execute(
                "SELECT part, channel, encoding, samples, data FROM workout_channels"
                " WHERE workout_id = %s ORDER BY part, channel",
                [workout_id],
            ).fetchall()

    def archived(self, workout_id: UUID) -> Samples:
        return archive.decode(self.channels(workout_id))

    def result(self, workout_id: UUID) -> tuple[Row, list[ArchivedChannel]]:
        """Everything a fold writes, but for the time of writing."""
        row = self.row(workout_id)
        del row["updated_at"]
        return row, self.channels(workout_id)

    def dead_letters(self, workout_id: UUID) -> list[Row]:
        with self.database.connection() as connection:
            return connection.execute(
                "SELECT * FROM dead_letters WHERE event ->> 'workout' = %s", [str(workout_id)]
            ).fetchall()

    def _update(self, workout_id: UUID, column: str, expression: sql.SQL, value: object) -> None:
        statement = sql.SQL("UPDATE workouts SET {} = {} WHERE id = %s")
        with self.database.connection() as connection:
            connection.execute(
                statement.format(sql.Identifier(column), expression), [value, workout_id]
            )


def pending(client: Redis) -> list[dict[str, Any]]:
    """Events of any queue that were handed out and not acknowledged."""
    return [event for queue in Queue for event in _pending_of(client, queue)]


def _pending_of(client: Redis, queue: Queue) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = client.xpending_range(queue, GROUP, "-", "+", 100)
    except ResponseError:  # no group yet
        return []
    return found


def renewals(client: Redis) -> Callable[[], int]:
    """Counts how often the lease of the pending event is seen to be renewed."""
    idle: list[int] = []

    def count() -> int:
        idle.extend(event["time_since_delivered"] for event in pending(client))
        return sum(later < earlier for earlier, later in pairwise(idle))

    return count
