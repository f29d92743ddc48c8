-- A history to be read from: one user's long one among the short ones of 10,000 others.
-- The settings bench.workouts, bench.curve, bench.power and bench.other say how many workouts
-- there are in all, and which durations have a best effort. One in 200 is the first user's,
-- whose id is zero.

BEGIN;
-- Foreign keys hold by construction; their checks, a trigger a row, are left out.
SET LOCAL session_replication_role = 'replica';
SET LOCAL synchronous_commit = off;
SET LOCAL maintenance_work_mem = '256MB';

INSERT INTO users (id, email)
SELECT lpad(to_hex(i), 32, '0')::uuid, 'rider-' || i || '@example.com'
FROM generate_series(0, 10000) AS i;

-- Built at once, at the end, the indexes take far less time.
CREATE TEMPORARY TABLE postponed ON COMMIT DROP AS
SELECT indexname, indexdef FROM pg_indexes
WHERE tablename = 'workouts' AND indexname <> 'workouts_pkey';

DO $$
DECLARE each record;
BEGIN
    FOR each IN SELECT * FROM postponed LOOP
        EXECUTE format('DROP INDEX %I', each.indexname);
    END LOOP;
END $$;

-- Starts are spread over five years. Every sixth workout lacks figures that lists are sorted by.
INSERT INTO workouts (
    id, user_id, title, description, sport, start_time, end_time, duration, status, summary,
    completed_at, deleted_at
)
SELECT
    md5('workout ' || i)::uuid,
    lpad(to_hex(CASE WHEN i < many THEN 0 ELSE 1 + i % 10000 END), 32, '0')::uuid,
    (ARRAY['Morning ride', 'Commute', 'Intervals', 'Long ride', 'Evening spin'])[1 + i % 5]
        || ' ' || i % 1000,
    CASE WHEN i % 4 = 0 THEN 'Along the river, then ' || i % 9 || ' times up the hill' END,
    (ARRAY['cycling', 'cycling', 'running'])[1 + i % 3],
    start_time, start_time + interval '1 hour', 3600, status,
    CASE WHEN i % 6 = 5 THEN '{}'
        ELSE jsonb_build_object('avgPower', 150 + i % 100, 'totalEnergy', 540 + i % 360)
    END || jsonb_build_object(
        'maxPower', 600 + i % 500, 'normalizedPower', 170 + i % 100,
        'avgHeartrate', 120 + i % 50, 'maxHeartrate', 165 + i % 25,
        'avgCadence', 80 + i % 15, 'avgSpeed', 7.5 + i % 20 / 10.0,
        'totalDistance', 27000 + i % 9999, 'totalElevationGain', i % 800,
        'trainingStressScore', 40 + i % 60, 'intensityFactor', 0.7 + i % 30 / 100.0,
        'recordedTime', 3600, 'sampleCount', 3600, 'methodVersion', 1,
        'precise', jsonb_build_object('totalEnergy', 540.25 + i % 360)
    ),
    start_time + interval '1 hour',
    CASE WHEN status = 'DELETED' THEN now() END
FROM (
    SELECT i, many,
        now() - i % many * (interval '5 years' / many) - i % 3600 * interval '1 s' AS start_time,
        CASE WHEN i % 50 = 7 THEN 'DELETED' WHEN i % 10 = 3 THEN 'ARCHIVED' ELSE 'COMPLETED' END
            ::workout_status AS status
    FROM (SELECT current_setting('bench.workouts')::int / 200 AS many) AS numbers,
        generate_series(0, 200 * many - 1) AS i
) AS rides;

DO $$
DECLARE each record;
BEGIN
    FOR each IN SELECT * FROM postponed LOOP
        EXECUTE each.indexdef;
    END LOOP;
END $$;

-- The first user's workouts, and five times as many others, have curves, bests and records.
CREATE TEMPORARY TABLE analysed ON COMMIT DROP AS
SELECT workouts.*
FROM generate_series(0, 6 * current_setting('bench.workouts')::int / 200 - 1) AS i
JOIN workouts ON id = md5('workout ' || i)::uuid
WHERE status <> 'DELETED';

INSERT INTO workout_curves (workout_id, user_id, sport, ridden_at, durations, watts)
SELECT id, user_id, sport, start_time, durations, (
    SELECT array_agg(round((180 + 900 / sqrt(duration) + normalized_power / 10)::numeric, 2))
    FROM unnest(durations) AS duration
)
FROM analysed, (SELECT current_setting('bench.curve')::int[] AS durations) AS curve;

INSERT INTO workout_bests (workout_id, user_id, sport, metric, duration, value, started_at)
SELECT id, user_id, sport, metric, bests.duration,
    100 + 900 / sqrt(bests.duration) + normalized_power / 10, start_time
FROM analysed CROSS JOIN (
    SELECT 'power' AS metric, unnest(current_setting('bench.power')::int[]) AS duration
    UNION ALL
    SELECT unnest(ARRAY['heartrate', 'speed']), duration
    FROM unnest(current_setting('bench.other')::int[]) AS duration
) AS bests;

INSERT INTO sport_records (user_id, sport, metric, duration, value, workout_id, started_at)
SELECT DISTINCT ON (bests.user_id, bests.sport, metric, bests.duration)
    bests.user_id, bests.sport, metric, bests.duration, value, workout_id, started_at
FROM workout_bests AS bests JOIN analysed ON analysed.id = workout_id
ORDER BY bests.user_id, bests.sport, metric, bests.duration, value DESC, started_at;
COMMIT;
