-- Athletes who have let a reader in: bench.athletes of them, with bench.rides rides each, one a day,
-- of a summary as long as most are. bench.reader is the id of the reader.

BEGIN;
SET LOCAL session_replication_role = 'replica';
SET LOCAL synchronous_commit = off;

CREATE TEMPORARY TABLE athletes ON COMMIT DROP AS
SELECT gen_random_uuid() AS id, i FROM generate_series(1, current_setting('bench.athletes')::int) AS i;

INSERT INTO users (id, email, display_name)
SELECT id, id || '@example.com', 'Athlete ' || i FROM athletes;

INSERT INTO athlete_shares (user_id, reader_id, email, accepted_at)
SELECT id, current_setting('bench.reader')::uuid, 'coach@example.com', now() FROM athletes;

INSERT INTO workouts (user_id, title, sport, start_time, end_time, duration, status, summary)
SELECT
    id, 'Ride ' || n, 'cycling', start_time, start_time + interval '1 hour', 3600, 'COMPLETED',
    jsonb_build_object(
        'avgPower', 150 + n % 100, 'normalizedPower', 170 + n % 100, 'totalEnergy', 540 + n % 360,
        'trainingStressScore', 40 + (n + i) % 60, 'recordedTime', 3600,
        'precise', jsonb_build_object('totalEnergy', 540.25 + n % 360),
        'gaps', (SELECT jsonb_agg(md5(n || ' ' || k)) FROM generate_series(1, 60) AS k)
    )
FROM generate_series(1, current_setting('bench.rides')::int) AS n
CROSS JOIN athletes
CROSS JOIN LATERAL (
    SELECT now() - n * interval '1 day' + i * interval '1 minute' AS start_time
) AS begun;

COMMIT;

ANALYZE workouts;
ANALYZE users;
