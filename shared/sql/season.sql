-- name: list_records
-- The user's personal records, of every sport and metric or of one.
SELECT sport, metric, duration, value, workout_id, started_at
FROM sport_records
WHERE user_id = %(user_id)s
    AND (%(sport)s::text IS NULL OR sport = %(sport)s)
    AND (%(metric)s::text IS NULL OR metric = %(metric)s)
ORDER BY sport, metric, duration

-- name: workout_curve
-- The power curve of one of the user's rides.
SELECT point.duration, point.power, workout_id, ridden_at
FROM workout_curves, unnest(durations, watts) AS point (duration, power)
WHERE workout_id = %(id)s AND user_id = %(user_id)s
ORDER BY point.duration

-- name: workout_bests
-- What is ranked of one of the user's rides.
SELECT sport, metric, duration, value, workout_id, started_at
FROM workout_bests
WHERE workout_id = %(id)s AND user_id = %(user_id)s
ORDER BY metric, duration

-- name: season_curve
-- The best of every duration over the user's rides of a period, in every sport or in one, and the
-- ride that holds it.
SELECT DISTINCT ON (point.duration) point.duration, point.power, workout_id, ridden_at
FROM workout_curves
JOIN workouts ON workouts.id = workout_id AND NOT excluded AND duplicate_of IS NULL,
    unnest(durations, watts) AS point (duration, power)
WHERE workout_curves.user_id = %(user_id)s
    AND (%(sport)s::text IS NULL OR workout_curves.sport = %(sport)s)
    AND (%(start)s::timestamptz IS NULL OR ridden_at >= %(start)s)
    AND (%(end)s::timestamptz IS NULL OR ridden_at < %(end)s)
ORDER BY point.duration, point.power DESC, ridden_at

-- name: efforts
-- The highest power over each duration from one to the other, in every sport or in one, with the
-- Unix second it began; of equal ones the first.
SELECT DISTINCT ON (duration)
    duration, value AS power, extract(epoch FROM started_at)::double precision AS started,
    workout_id
FROM workout_bests
JOIN workout_curves USING (workout_id)
WHERE workout_bests.user_id = %(user_id)s AND workout_curves.user_id = %(user_id)s
    AND (%(sport)s::text IS NULL OR workout_bests.sport = %(sport)s)
    AND metric = 'power' AND duration BETWEEN %(shortest)s AND %(longest)s
    AND (%(start)s::timestamptz IS NULL OR ridden_at >= %(start)s)
    AND (%(end)s::timestamptz IS NULL OR ridden_at < %(end)s)
ORDER BY duration, value DESC, started_at

-- name: totals
-- Sums over the user's rides, of every sport or of the one with those names, by day, week (from
-- Monday), month or year of the time zone given; null where no ride has the figure.
SELECT
    date_trunc(%(period)s, start_time AT TIME ZONE %(time_zone)s)::date AS start,
    count(*) AS workouts,
    coalesce(sum(recorded_time), 0) AS recorded_time,
    sum(total_distance) AS total_distance,
    sum(total_elevation_gain) AS total_elevation_gain,
    sum((summary #>> '{precise,totalEnergy}')::double precision) AS total_energy,
    sum(training_stress_score) AS training_stress_score
FROM workouts
WHERE user_id = %(user_id)s AND status IN ('COMPLETED', 'ARCHIVED') AND duplicate_of IS NULL
    AND (%(names)s::text[] IS NULL OR lower(translate(sport, '-_', '')) = ANY(%(names)s))
    AND (%(start)s::timestamptz IS NULL OR start_time >= %(start)s)
    AND (%(end)s::timestamptz IS NULL OR start_time < %(end)s)
GROUP BY 1
ORDER BY 1 DESC
LIMIT 3660

-- name: daily_stress
-- The training stress of each day with rides, in the time zone given, of every sport or of the one
-- with those names, null where none has any; of days before the one that it is asked for since, only
-- that there was some.
WITH stress AS (
    SELECT (start_time AT TIME ZONE %(time_zone)s)::date AS day, training_stress_score
    FROM workouts
    WHERE user_id = %(user_id)s AND status IN ('COMPLETED', 'ARCHIVED') AND duplicate_of IS NULL
        AND (%(names)s::text[] IS NULL OR lower(translate(sport, '-_', '')) = ANY(%(names)s))
)
SELECT
    greatest(day, %(since)s::date) AS day,
    sum(training_stress_score * (day >= %(since)s::date)::int) AS training_stress_score
FROM stress
GROUP BY 1
ORDER BY 1

-- name: exclude_workout
-- Leave the whole ride, or ranges of it, out of the records, and let power be a spike there again;
-- its efforts are to be ranked anew. Not beyond so many ranges of either kind.
UPDATE workouts SET
    excluded = excluded OR %(whole)s,
    excluded_ranges = excluded_ranges + %(ranges)s::int8multirange,
    vouched_ranges = vouched_ranges - %(spikes)s::int8multirange,
    stale = true, fold_asked_at = NULL, updated_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s AND status <> 'DELETED'
    AND (SELECT count(*) FROM unnest(excluded_ranges + %(ranges)s::int8multirange))
        <= greatest(%(most)s, (SELECT count(*) FROM unnest(excluded_ranges)))
    AND (SELECT count(*) FROM unnest(vouched_ranges - %(spikes)s::int8multirange))
        <= greatest(%(most)s, (SELECT count(*) FROM unnest(vouched_ranges)))
RETURNING id

-- name: include_workout
-- Undo exclude_workout; including the whole ride also includes every range of it. No power is a
-- spike in the ranges that are included.
UPDATE workouts SET
    excluded = excluded AND NOT %(whole)s,
    excluded_ranges = CASE
        WHEN %(whole)s THEN '{}'
        ELSE excluded_ranges - %(ranges)s::int8multirange
    END,
    vouched_ranges = vouched_ranges + %(spikes)s::int8multirange,
    stale = true, fold_asked_at = NULL, updated_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s AND status <> 'DELETED'
    AND (SELECT count(*) FROM unnest(excluded_ranges - %(ranges)s::int8multirange))
        <= greatest(%(most)s, (SELECT count(*) FROM unnest(excluded_ranges)))
    AND (SELECT count(*) FROM unnest(vouched_ranges + %(spikes)s::int8multirange))
        <= greatest(%(most)s, (SELECT count(*) FROM unnest(vouched_ranges)))
RETURNING id

-- name: list_thresholds
-- Every day on which the athlete gave figures, of every sport or of one, the newest first; or that
-- day alone.
SELECT sport, effective_from, ftp, critical_power, w_prime, threshold_heartrate, max_heartrate,
    weight, source
FROM dated_thresholds
WHERE user_id = %(user_id)s
    AND (%(sport)s::text IS NULL OR sport = %(sport)s)
    AND (%(day)s::date IS NULL OR effective_from = %(day)s)
ORDER BY effective_from DESC, sport

-- name: list_weights
-- The weights that the athlete has given, with their days in the user's time zone.
SELECT effective_from, weight, coalesce(settings ->> 'timeZone', 'UTC') AS time_zone
FROM athlete_thresholds
JOIN users ON users.id = user_id
WHERE user_id = %(user_id)s AND weight IS NOT NULL

-- name: lock_thresholds
-- A user's thresholds are changed by one request at a time, so that each sees what it changes.
SELECT pg_advisory_xact_lock(hashtextextended(%(user_id)s::text, 7496056))

-- name: put_thresholds
-- Give figures of cycling and of the body for a day; those that are not given stay as they were
-- given for it before.
INSERT INTO athlete_thresholds AS old (
    user_id, effective_from, ftp, critical_power, w_prime, threshold_heartrate, max_heartrate,
    weight, source
) VALUES (
    %(user_id)s, %(effective_from)s, %(ftp)s, %(critical_power)s, %(w_prime)s,
    %(threshold_heartrate)s, %(max_heartrate)s, %(weight)s, %(source)s
)
ON CONFLICT (user_id, effective_from) DO UPDATE SET
    ftp = CASE WHEN 'ftp' = ANY(%(given)s) THEN excluded.ftp ELSE old.ftp END,
    critical_power = CASE WHEN 'critical_power' = ANY(%(given)s)
        THEN excluded.critical_power ELSE old.critical_power END,
    w_prime = CASE WHEN 'w_prime' = ANY(%(given)s) THEN excluded.w_prime ELSE old.w_prime END,
    threshold_heartrate = CASE WHEN 'threshold_heartrate' = ANY(%(given)s)
        THEN excluded.threshold_heartrate ELSE old.threshold_heartrate END,
    max_heartrate = CASE WHEN 'max_heartrate' = ANY(%(given)s)
        THEN excluded.max_heartrate ELSE old.max_heartrate END,
    weight = CASE WHEN 'weight' = ANY(%(given)s) THEN excluded.weight ELSE old.weight END,
    source = CASE WHEN 'source' = ANY(%(given)s) THEN excluded.source ELSE old.source END

-- name: put_other_thresholds
-- The same of another sport.
INSERT INTO other_thresholds AS old (
    user_id, sport, effective_from, ftp, critical_power, w_prime, threshold_heartrate, source
) VALUES (
    %(user_id)s, %(sport)s, %(effective_from)s, %(ftp)s, %(critical_power)s, %(w_prime)s,
    %(threshold_heartrate)s, %(source)s
)
ON CONFLICT (user_id, sport, effective_from) DO UPDATE SET
    ftp = CASE WHEN 'ftp' = ANY(%(given)s) THEN excluded.ftp ELSE old.ftp END,
    critical_power = CASE WHEN 'critical_power' = ANY(%(given)s)
        THEN excluded.critical_power ELSE old.critical_power END,
    w_prime = CASE WHEN 'w_prime' = ANY(%(given)s) THEN excluded.w_prime ELSE old.w_prime END,
    threshold_heartrate = CASE WHEN 'threshold_heartrate' = ANY(%(given)s)
        THEN excluded.threshold_heartrate ELSE old.threshold_heartrate END,
    source = CASE WHEN 'source' = ANY(%(given)s) THEN excluded.source ELSE old.source END

-- name: delete_empty_thresholds
-- Delete a day of which every figure was removed.
DELETE FROM athlete_thresholds
WHERE user_id = %(user_id)s AND effective_from = %(effective_from)s
    AND coalesce(
        ftp, critical_power, w_prime, threshold_heartrate, max_heartrate, weight
    ) IS NULL

-- name: delete_empty_other_thresholds
-- The same of sports other than cycling, beside which no figure of the body was given either.
DELETE FROM other_thresholds
WHERE user_id = %(user_id)s AND effective_from = %(effective_from)s
    AND coalesce(ftp, critical_power, w_prime, threshold_heartrate) IS NULL
    AND NOT EXISTS (
        SELECT FROM athlete_thresholds AS body
        WHERE body.user_id = %(user_id)s AND body.effective_from = %(effective_from)s
            AND coalesce(max_heartrate, weight) IS NOT NULL
    )

-- name: count_stale
-- How many of the user's workouts are still to be computed anew, and how many there are.
SELECT count(*) FILTER (WHERE stale AND status <> 'FAILED') AS pending, count(*) AS workouts
FROM workouts
WHERE status <> 'DELETED' AND user_id = %(user_id)s
