-- name: athlete_on
-- Each figure of the athlete in a sport as last given on or before the day of the ride, in the
-- user's time zone; those of the body whatever sport they were given under.
SELECT
    (array_agg(ftp ORDER BY effective_from DESC)
        FILTER (WHERE ftp IS NOT NULL AND sport = %(sport)s))[1] AS ftp,
    (array_agg(critical_power ORDER BY effective_from DESC)
        FILTER (WHERE critical_power IS NOT NULL AND sport = %(sport)s))[1] AS critical_power,
    (array_agg(w_prime ORDER BY effective_from DESC)
        FILTER (WHERE w_prime IS NOT NULL AND sport = %(sport)s))[1] AS w_prime,
    (array_agg(threshold_heartrate ORDER BY effective_from DESC)
        FILTER (WHERE threshold_heartrate IS NOT NULL AND sport = %(sport)s))[1]
        AS threshold_heartrate,
    (array_agg(max_heartrate ORDER BY effective_from DESC)
        FILTER (WHERE max_heartrate IS NOT NULL))[1] AS max_heartrate,
    (array_agg(weight ORDER BY effective_from DESC)
        FILTER (WHERE weight IS NOT NULL))[1] AS weight
FROM dated_thresholds
JOIN users ON users.id = dated_thresholds.user_id
WHERE user_id = %(user_id)s
    AND effective_from <= (
        %(moment)s::timestamptz AT TIME ZONE coalesce(users.settings ->> 'timeZone', 'UTC')
    )::date

-- name: delete_bests
-- Delete what is ranked of a ride.
DELETE FROM workout_bests WHERE workout_id = %(workout_id)s

-- name: delete_curve
-- Delete the power curve of a ride.
DELETE FROM workout_curves WHERE workout_id = %(workout_id)s

-- name: delete_efforts
-- Delete what is ranked of a ride, and its power curve.
WITH ranked AS (DELETE FROM workout_bests WHERE workout_id = %(workout_id)s)
DELETE FROM workout_curves WHERE workout_id = %(workout_id)s

-- name: write_efforts
-- What is to be ranked of a ride, and its power curve where it has one: arrays of equal lengths.
WITH ranked AS (
    INSERT INTO workout_bests (workout_id, user_id, sport, metric, duration, value, started_at)
    SELECT %(workout_id)s, %(user_id)s, %(sport)s, metric, duration, value, to_timestamp(started)
    FROM unnest(
        %(metric)s::text[], %(duration)s::int[], %(value)s::float8[], %(started)s::float8[]
    ) AS best (metric, duration, value, started)
)
INSERT INTO workout_curves (workout_id, user_id, sport, ridden_at, durations, watts)
SELECT %(workout_id)s, %(user_id)s, %(sport)s, %(ridden_at)s, durations, watts
FROM (SELECT %(durations)s::int[] AS durations, %(watts)s::float8[] AS watts) AS curve
WHERE cardinality(durations) > 0

-- name: move_bests
-- What is ranked of a ride becomes that of another sport.
UPDATE workout_bests SET sport = %(sport)s WHERE workout_id = %(workout_id)s

-- name: move_curve
-- The power curve of a ride becomes one of another sport.
UPDATE workout_curves SET sport = %(sport)s WHERE workout_id = %(workout_id)s

-- name: lock_rider
-- One refresh of a user's records at a time; always after the workout's own lock.
SELECT id FROM users WHERE id = %(user_id)s FOR NO KEY UPDATE

-- name: tell_records
-- Tell the webhooks which records a ride sets, under the lock of the rider and before they are written:
-- of one that is being completed all that it holds, as some were written while it was under way; of
-- one that is folded again, or becomes one of another sport, those that are better than before.
WITH fresh AS (
    SELECT mine.sport, mine.metric, mine.duration, mine.value, mine.started_at,
        CASE WHEN other.value IS NOT NULL THEN
            jsonb_build_object('value', other.value, 'workoutId', other.workout_id)
        END AS previous
    FROM workout_bests AS mine
    LEFT JOIN sport_records AS held USING (user_id, sport, metric, duration)
    LEFT JOIN LATERAL (
        SELECT value, workout_id
        FROM workout_bests AS others
        WHERE others.user_id = %(user_id)s
            AND others.sport = mine.sport
            AND others.metric = mine.metric
            AND others.duration = mine.duration
            AND others.workout_id <> %(workout_id)s
        ORDER BY value DESC, started_at
        LIMIT 1
    ) AS other ON true
    WHERE is_webhook_for(%(user_id)s::uuid, 'record.set')
        AND mine.workout_id = %(workout_id)s AND mine.user_id = %(user_id)s
        AND (other.value IS NULL OR mine.value > other.value)
        AND (%(completing)s OR held.value IS NULL OR mine.value > held.value)
), event AS (
    SELECT jsonb_agg(
        jsonb_build_object(
            'sport', sport, 'metric', metric, 'duration', duration, 'value', value,
            'startedAt', webhook_moment(started_at), 'previous', previous
        ) ORDER BY sport, metric, duration
    ) AS records
    FROM fresh
)
SELECT tell_webhooks(
    %(user_id)s::uuid, 'record.set', %(workout_id)s::uuid,
    jsonb_build_object('workoutId', %(workout_id)s::uuid, 'records', records)
)
FROM event
WHERE records IS NOT NULL

-- name: refresh_records
-- Each of the user's records in any sport becomes the best there now is; the earlier of equals.
WITH keys AS (
    SELECT sport, metric, duration FROM sport_records WHERE user_id = %(user_id)s
    UNION
    SELECT sport, metric, duration FROM workout_bests WHERE workout_id = %(workout_id)s
), best AS (
    SELECT keys.sport, keys.metric, keys.duration, top.value, top.workout_id, top.started_at
    FROM keys CROSS JOIN LATERAL (
        SELECT value, workout_id, started_at
        FROM workout_bests
        WHERE user_id = %(user_id)s
            AND workout_bests.sport = keys.sport
            AND workout_bests.metric = keys.metric
            AND workout_bests.duration = keys.duration
        ORDER BY value DESC, started_at
        LIMIT 1
    ) AS top
), gone AS (
    DELETE FROM sport_records AS old
    WHERE old.user_id = %(user_id)s AND NOT EXISTS (
        SELECT FROM best
        WHERE best.sport = old.sport AND best.metric = old.metric AND best.duration = old.duration
    )
)
INSERT INTO sport_records (user_id, sport, metric, duration, value, workout_id, started_at)
SELECT %(user_id)s, sport, metric, duration, value, workout_id, started_at
FROM best
ORDER BY sport, metric, duration
ON CONFLICT (user_id, sport, metric, duration) DO UPDATE SET
    value = excluded.value,
    workout_id = excluded.workout_id,
    started_at = excluded.started_at
WHERE (sport_records.value, sport_records.workout_id, sport_records.started_at)
    IS DISTINCT FROM (excluded.value, excluded.workout_id, excluded.started_at)
