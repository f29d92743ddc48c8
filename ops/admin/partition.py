"""`make partition`: puts the samples into partitions, while everything else goes on.

Migration 0052 does so where there are no samples yet; here a table with rows gets to the same
schema. Its rows are copied beside it in portions, and a trigger writes to the copy whatever is
written meanwhile. All that is remembered is in the database: an attempt may be killed at any time,
and the next one copies the rest, and compares all.
"""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final, LiteralString
from uuid import UUID

import psycopg

from ops.admin import migrations
from ops.processes import ProcessFailed
from shared.errors import ServiceUnavailable

Connection = psycopg.Connection[tuple[Any, ...]]

_PORTION: Final = 100  # rides, which nobody changes while they are copied
_LOCK_TIMEOUT: Final = b"SET LOCAL lock_timeout = 2000"  # others wait behind it
_PAUSE: Final = 3.0  # seconds, in which they go on
_TRIES: Final = 60

# `begun`: a trigger fills a copy that has all columns of the table. Else a new copy is made.
_STATE: Final = """
    WITH columns AS (
        SELECT attrelid, attname, atttypid FROM pg_attribute WHERE attnum > 0 AND NOT attisdropped
    )
    SELECT relkind = 'p' AS partitioned,
        EXISTS (
            SELECT FROM pg_trigger
            WHERE tgname = 'workout_channels_copied' AND tgrelid = pg_class.oid
        ) AND NOT EXISTS (
            SELECT attname, atttypid FROM columns WHERE attrelid = pg_class.oid
            EXCEPT
            SELECT attname, atttypid FROM columns
            WHERE attrelid = to_regclass('workout_channels_copy')
        ) AS begun
    FROM pg_class WHERE oid = 'workout_channels'::regclass
"""
# From then on, whatever is written to the table is in the copy, too. The table's owner gets all
# that is made, and the trigger has the owner's rights: who may write to the table needs none to the
# copy. Settings of storage (autovacuum, toast) are given to each partition, as a table that has
# partitions takes none.
_BEGIN: Final = b"""
    LOCK TABLE workouts, workout_channels IN SHARE ROW EXCLUSIVE MODE;

    SELECT set_config('role', pg_get_userbyid(relowner), true)
    FROM pg_class WHERE oid = 'workout_channels'::regclass;

    CREATE TABLE workout_channels_copy (LIKE workout_channels INCLUDING ALL)
        PARTITION BY HASH (workout_id);
    ALTER TABLE workout_channels_copy ADD CONSTRAINT workout_channels_workout_id_fkey
        FOREIGN KEY (workout_id) REFERENCES workouts ON DELETE CASCADE;

    DO $$
    DECLARE
        settings text := (
            SELECT 'WITH (' || string_agg(setting, ', ') || ')'
            FROM (
                SELECT unnest(reloptions) FROM pg_class WHERE oid = 'workout_channels'::regclass
                UNION ALL
                SELECT 'toast.' || unnest(toast.reloptions)
                FROM pg_class JOIN pg_class AS toast ON toast.oid = pg_class.reltoastrelid
                WHERE pg_class.oid = 'workout_channels'::regclass
            ) AS all_settings (setting)
        );
    BEGIN
        FOR remainder IN 0..15 LOOP
            EXECUTE format(
                'CREATE TABLE workout_channels_%s PARTITION OF workout_channels_copy'
                    ' FOR VALUES WITH (MODULUS 16, REMAINDER %s) %s',
                to_char(remainder, 'FM00'), remainder, settings
            );
        END LOOP;
    END $$;

    CREATE FUNCTION copy_channels() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            DELETE FROM workout_channels_copy
            WHERE workout_id = OLD.workout_id AND part = OLD.part AND channel = OLD.channel;
        END IF;
        IF TG_OP <> 'DELETE' THEN
            INSERT INTO workout_channels_copy (workout_id, part, channel, encoding, samples, data)
            VALUES (NEW.workout_id, NEW.part, NEW.channel, NEW.encoding, NEW.samples, NEW.data);
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER workout_channels_copied AFTER INSERT OR UPDATE OR DELETE ON workout_channels
        FOR EACH ROW EXECUTE FUNCTION copy_channels();
    ALTER TABLE workout_channels ENABLE ALWAYS TRIGGER workout_channels_copied;
"""
_ABANDON: Final = b"""
    DROP TRIGGER IF EXISTS workout_channels_copied ON workout_channels;
    DROP FUNCTION IF EXISTS copy_channels();
    DROP TABLE IF EXISTS workout_channels_copy;
"""
_NEXT: Final = """
    SELECT id FROM workouts WHERE %(after)s::uuid IS NULL OR id > %(after)s
    ORDER BY id LIMIT %(portion)s
"""
# Whoever writes samples of a ride holds its row.
_LOCK_FREE: Final = "SELECT id FROM workouts WHERE id = ANY(%(ids)s) FOR SHARE SKIP LOCKED"
_LOCK: Final = "SELECT id FROM workouts WHERE id = ANY(%(ids)s) FOR SHARE"
_COPY: Final = """
    INSERT INTO workout_channels_copy
    SELECT * FROM workout_channels AS plain
    WHERE workout_id = ANY(%(ids)s) AND NOT EXISTS (
        SELECT FROM workout_channels_copy AS copy
        WHERE copy.workout_id = plain.workout_id AND copy.part = plain.part
            AND copy.channel = plain.channel
    )
"""
# In one statement, which sees both as they were at one moment.
_COMPARE: Final = """
    WITH plain AS (SELECT * FROM workout_channels WHERE workout_id = ANY(%(ids)s)),
    copy AS (SELECT * FROM workout_channels_copy WHERE workout_id = ANY(%(ids)s))
    SELECT workout_id FROM (
        (TABLE plain EXCEPT TABLE copy) UNION ALL (TABLE copy EXCEPT TABLE plain)
    ) AS different
"""
# As in the migration: whoever may read or write the table may do so with the partitions.
_SWAP: Final = b"""
    LOCK TABLE workouts, workout_channels IN ACCESS EXCLUSIVE MODE;

    DO $$
    DECLARE
        grants text[] := ARRAY(
            SELECT format(
                'GRANT %s ON workout_channels TO %s %s', privilege_type,
                CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
                CASE WHEN is_grantable THEN 'WITH GRANT OPTION' END
            )
            FROM pg_class, aclexplode(relacl)
            WHERE oid = 'workout_channels'::regclass AND grantee <> relowner
        );
        each text;
    BEGIN
        DROP TABLE workout_channels;
        DROP FUNCTION copy_channels();
        ALTER TABLE workout_channels_copy RENAME TO workout_channels;
        ALTER TABLE workout_channels
            RENAME CONSTRAINT workout_channels_copy_pkey TO workout_channels_pkey;
        FOREACH each IN ARRAY grants LOOP
            EXECUTE each;
        END LOOP;
    END $$;
"""


def partition(database_url: str) -> Generator[str, None, None]:
    """Put the samples into partitions; yields how far that is, a line for each percent.

    The table is dropped only after the copy was compared with it. Raises ProcessFailed if they
    differ, ServiceUnavailable if a long transaction keeps it from its locks.
    """
    with _alone(database_url) as connection:
        partitioned, begun = connection.execute(_STATE).fetchone() or (False, False)
        if partitioned:
            yield "already partitioned"
            return
        if not begun:
            _patiently(connection, _ABANDON + _BEGIN)
        yield from _of_all_rides(connection, "copied", _copy)
        yield from _of_all_rides(connection, "compared", _compare)
        _patiently(connection, _SWAP)
        connection.execute("ANALYZE workout_channels")
        yield "workout_channels has 16 partitions"


def abandon(database_url: str) -> None:
    """Drop a copy that is not finished: all is as it was before."""
    with _alone(database_url) as connection:
        _patiently(connection, _ABANDON)


@contextmanager
def _alone(database_url: str) -> Iterator[Connection]:
    """A connection, while no migration changes the table, and no other attempt is made."""
    with (
        migrations.alone(database_url),
        psycopg.connect(database_url, autocommit=True, prepare_threshold=None) as connection,
    ):
        yield connection


def _patiently(connection: Connection, script: bytes) -> None:
    """Run a script in one short transaction: again and again, if it does not get its locks.

    Raises ServiceUnavailable, and ProcessFailed where a view of the operator reads the table.
    """
    for _ in range(_TRIES):
        try:
            with connection.transaction():
                connection.execute(_LOCK_TIMEOUT)
                connection.execute(script)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            time.sleep(_PAUSE)
        except psycopg.errors.DependentObjectsStillExist as error:
            raise ProcessFailed(
                f"the copy is kept: drop what is made of workout_channels, then try again:"
                f" {error.diag.message_detail}"
            ) from None
        else:
            return
    raise ServiceUnavailable(
        "no lock was to be had: a long transaction holds it, as of a backup; the copy is kept: end"
        " that or wait for it, then try again"
    )


def _of_all_rides(
    connection: Connection, done: str, work: Callable[[Connection, list[UUID]], None]
) -> Iterator[str]:
    """Do the work for all rides, in portions. Samples of rides that begin later are in both."""
    (total,) = connection.execute("SELECT count(*) FROM workouts").fetchone() or (0,)
    count, told, after = 0, -1, None
    while ids := _next(connection, after):
        work(connection, ids)
        count, after = count + len(ids), ids[-1]
        if (percent := 100 * count // max(total, count)) > told:
            told = percent
            yield f"{done} {percent} %: {count} of {max(total, count)} rides"


def _next(connection: Connection, after: UUID | None) -> list[UUID]:
    chosen = {"after": after, "portion": _PORTION}
    return [ride for (ride,) in connection.execute(_NEXT, chosen)]


def _copy(connection: Connection, rides: list[UUID]) -> None:
    """Rides that somebody has locked come last, one by one: to wait for one, no other is held."""
    left = set(rides) - _copy_locked(connection, _LOCK_FREE, rides)
    for ride in left:
        _copy_locked(connection, _LOCK, [ride])


def _copy_locked(connection: Connection, lock: LiteralString, rides: list[UUID]) -> set[UUID]:
    with connection.transaction():
        locked = [ride for (ride,) in connection.execute(lock, {"ids": rides})]
        connection.execute(_COPY, {"ids": locked})
    return set(locked)


def _compare(connection: Connection, rides: list[UUID]) -> None:
    """Raises ProcessFailed for a ride whose rows are not the same in both."""
    for (ride,) in connection.execute(_COMPARE, {"ids": rides}):
        raise ProcessFailed(
            f"the samples of ride {ride} differ in the copy, and nothing was put in place of"
            " anything: make partition ABANDON=1, and once more"
        )
