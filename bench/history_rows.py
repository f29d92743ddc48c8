"""A million workouts for the history to be read from: one rider's long one among many short."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg.sql import SQL, Identifier

from shared.connections import Row
from worker.metrics.bests import OTHER_DURATIONS, POWER_DURATIONS, curve_durations

WORKOUTS: Final = 1_000_000
OF_HEAVY_RIDER: Final = 5_000
_RIDERS: Final = 10_000
_RIDE: Final = 3600  # seconds

# Foreign keys hold by construction; only their checks, a trigger a row, are left out.
_SETTINGS: Final = (
    "SET LOCAL session_replication_role = 'replica'",
    "SET LOCAL synchronous_commit = off",
    "SET LOCAL maintenance_work_mem = '256MB'",
)
_WRITE_RIDERS: Final = """
INSERT INTO users (id, email)
SELECT md5('rider ' || i)::uuid, 'rider-' || i || '@example.com'
FROM generate_series(0, %(riders)s) AS i
"""
_WRITE_WORKOUTS: Final = """
INSERT INTO workouts (
    id, user_id, title, description, sport, start_time, end_time, duration, status, summary,
    completed_at, deleted_at
)
SELECT
    md5('workout ' || i)::uuid,
    md5('rider ' || CASE WHEN i < %(heavy)s THEN 0 ELSE 1 + i %% %(riders)s END)::uuid,
    (ARRAY['Morning ride', 'Commute', 'Intervals', 'Long ride', 'Evening spin'])[1 + i %% 5]
        || ' ' || i %% 1000,
    CASE WHEN i %% 4 = 0 THEN 'Along the river, then ' || i %% 9 || ' times up the hill' END,
    (ARRAY['cycling', 'cycling', 'running'])[1 + i %% 3],
    start_time, start_time + interval '1 hour', 3600, status,
    CASE WHEN i %% 6 = 5 THEN '{}'  -- without a figure to sort by
        ELSE jsonb_build_object('avgPower', 150 + i %% 100, 'totalEnergy', 540 + i %% 360)
    END || jsonb_build_object(
        'maxPower', 600 + i %% 500, 'normalizedPower', 170 + i %% 100,
        'avgHeartrate', 120 + i %% 50, 'maxHeartrate', 165 + i %% 25,
        'avgCadence', 80 + i %% 15, 'avgSpeed', 7.5 + i %% 20 / 10.0,
        'totalDistance', 27000 + i %% 9999, 'totalElevationGain', i %% 800,
        'trainingStressScore', 40 + i %% 60, 'intensityFactor', 0.7 + i %% 30 / 100.0,
        'recordedTime', 3600, 'sampleCount', 3600, 'methodVersion', 1,
        'precise', jsonb_build_object('totalEnergy', 540.25 + i %% 360)
    ),
    start_time + interval '1 hour',
    CASE WHEN status = 'DELETED' THEN now() END
FROM (
    SELECT i,
        now() - i %% %(heavy)s * interval '9 hours' - i %% 3600 * interval '1 second' AS start_time,
        CASE
            WHEN i %% 50 = 7 THEN 'DELETED'
            WHEN i %% 10 = 3 THEN 'ARCHIVED'
            ELSE 'COMPLETED'
        END::workout_status AS status
    FROM generate_series(0, %(workouts)s - 1) AS i
) AS rides
"""
# Bests and curves of the heavy rider's workouts, and of five times as many others.
_ANALYSED: Final = """
CREATE TEMPORARY TABLE analysed ON COMMIT DROP AS
SELECT workouts.* FROM generate_series(0, 6 * %(heavy)s - 1) AS i
JOIN workouts ON id = md5('workout ' || i)::uuid
WHERE status <> 'DELETED'
"""
_WRITE_CURVES: Final = """
INSERT INTO workout_curves (workout_id, user_id, ridden_at, durations, watts)
SELECT id, user_id, start_time, %(curve)s::int[], (
    SELECT array_agg(round((180 + 900 / sqrt(duration) + normalized_power / 10)::numeric, 2))
    FROM unnest(%(curve)s::int[]) AS duration
)
FROM analysed
"""
_WRITE_BESTS: Final = """
INSERT INTO workout_bests (workout_id, user_id, metric, duration, value, started_at)
SELECT id, user_id, metric, bests.duration,
    100 + 900 / sqrt(bests.duration) + normalized_power / 10, start_time
FROM analysed CROSS JOIN (
    SELECT 'power' AS metric, unnest(%(power)s::int[]) AS duration
    UNION ALL
    SELECT unnest(ARRAY['heartrate', 'speed']), duration
    FROM unnest(%(other)s::int[]) AS duration
) AS bests
"""
_WRITE_RECORDS: Final = """
INSERT INTO personal_records (user_id, metric, duration, value, workout_id, started_at)
SELECT DISTINCT ON (user_id, metric, duration)
    user_id, metric, duration, value, workout_id, started_at
FROM workout_bests
ORDER BY user_id, metric, duration, value DESC, started_at
"""
_TABLES: Final = ("users", "workouts", "workout_curves", "workout_bests", "personal_records")


def generate(connection: psycopg.Connection[Row], workouts: int = WORKOUTS) -> str:
    """Fill a migrated, empty database; the id of the rider with 5,000 of the workouts.

    The connection must be in autocommit mode, of a user who may skip foreign key checks.
    """
    rider = _heavy_rider(connection)
    parameters = {
        "workouts": workouts,
        "heavy": OF_HEAVY_RIDER,
        "riders": _RIDERS,
        "curve": curve_durations(_RIDE).tolist(),
        "power": [each for each in POWER_DURATIONS if each <= _RIDE],
        "other": [each for each in OTHER_DURATIONS if each <= _RIDE],
    }
    with connection.transaction():
        for setting in _SETTINGS:
            connection.execute(setting)
        connection.execute(_WRITE_RIDERS, parameters)
        with _indexed_afterwards(connection):
            connection.execute(_WRITE_WORKOUTS, parameters)
        for statement in (
            _ANALYSED,
            _WRITE_CURVES,
            _WRITE_BESTS,
            _WRITE_RECORDS,
        ):
            connection.execute(statement, parameters)
    for table in _TABLES:
        connection.execute(f"VACUUM ANALYZE {table}")
    return rider


@contextmanager
def _indexed_afterwards(connection: psycopg.Connection[Row]) -> Iterator[None]:
    """Without the indexes of workouts meanwhile: built at once, they take far less time."""
    indexes = connection.execute(
        """
        SELECT indexname, indexdef FROM pg_indexes
        WHERE tablename = 'workouts' AND indexname <> 'workouts_pkey'
        """
    ).fetchall()
    for index in indexes:
        connection.execute(SQL("DROP INDEX {}").format(Identifier(index["indexname"])))
    yield
    for index in indexes:
        connection.execute(index["indexdef"].encode())


def _heavy_rider(connection: psycopg.Connection[Row]) -> str:
    row = connection.execute("SELECT md5('rider 0')::uuid::text AS id").fetchone()
    assert row is not None
    return str(row["id"])
