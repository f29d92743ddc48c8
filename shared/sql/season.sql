-- name: list_records
-- The user's personal records, of every metric or of one.
SELECT metric, duration, value, workout_id, started_at
FROM personal_records
WHERE user_id = %(user_id)s AND (%(metric)s::text IS NULL OR metric = %(metric)s)
ORDER BY metric, duration

-- name: workout_curve
-- The power curve of one of the user's rides.
SELECT point.duration, point.power, workout_id
FROM workout_curves, unnest(durations, watts) AS point (duration, power)
WHERE workout_id = %(id)s AND user_id = %(user_id)s
ORDER BY point.duration

-- name: workout_bests
-- What is ranked of one of the user's rides.
SELECT metric, duration, value, workout_id, started_at
FROM workout_bests
WHERE workout_id = %(id)s AND user_id = %(user_id)s
ORDER BY metric, duration

-- name: season_curve
-- The best of every duration over the user's rides of a period, and the ride that holds it.
SELECT DISTINCT ON (point.duration) point.duration, point.power, workout_id
FROM workout_curves
JOIN workouts ON workouts.id = workout_id AND NOT excluded AND duplicate_of IS NULL,
    unnest(durations, watts) AS point (duration, power)
WHERE workout_curves.user_id = %(user_id)s
    AND (%(start)s::timestamptz IS NULL OR ridden_at >= %(start)s)
    AND (%(end)s::timestamptz IS NULL OR ridden_at < %(end)s)
ORDER BY point.duration, point.power DESC, ridden_at

-- name: efforts
-- The highest power over each duration from one to the other, with the Unix second it began; of
-- equal ones the first.
SELECT DISTINCT ON (duration)
    duration, value AS power, extract(epoch FROM started_at)::double precision AS started
FROM workout_bests
JOIN workout_curves USING (workout_id)
WHERE workout_bests.user_id = %(user_id)s AND workout_curves.user_id = %(user_id)s
    AND metric = 'power' AND duration BETWEEN %(shortest)s AND %(longest)s
    AND (%(start)s::timestamptz IS NULL OR ridden_at >= %(start)s)
    AND (%(end)s::timestamptz IS NULL OR ridden_at < %(end)s)
ORDER BY duration, value DESC, started_at

-- name: totals
-- Sums over the user's rides, by day, week (from Monday), month or year of the time zone given.
SELECT
    date_trunc(%(period)s, start_time AT TIME ZONE %(time_zone)s)::date AS start,
    count(*) AS workouts,
    coalesce(sum(recorded_time), 0) AS recorded_time,
    coalesce(sum(total_distance), 0) AS total_distance,
    coalesce(sum(total_elevation_gain), 0) AS total_elevation_gain,
    coalesce(sum((summary #>> '{precise,totalEnergy}')::double precision), 0) AS total_energy,
    coalesce(sum(training_stress_score), 0) AS training_stress_score
FROM workouts
WHERE user_id = %(user_id)s AND status IN ('COMPLETED', 'ARCHIVED') AND duplicate_of IS NULL
    AND (%(start)s::timestamptz IS NULL OR start_time >= %(start)s)
    AND (%(end)s::timestamptz IS NULL OR start_time < %(end)s)
GROUP BY 1
ORDER BY 1 DESC
LIMIT 3660

-- name: daily_stress
-- The training stress of each day with any, in the time zone given; of days before the one that it
-- is asked for since, only that there was some.
WITH stress AS (
    SELECT (start_time AT TIME ZONE %(time_zone)s)::date AS day, training_stress_score
    FROM workouts
    WHERE user_id = %(user_id)s AND status IN ('COMPLETED', 'ARCHIVED') AND duplicate_of IS NULL
        AND training_stress_score IS NOT NULL
)
SELECT
    greatest(day, %(since)s::date) AS day,
    sum(CASE WHEN day < %(since)s::date THEN 0 ELSE training_stress_score END)
        AS training_stress_score
FROM stress
GROUP BY 1
ORDER BY 1

-- name: exclude_workout
-- Leave the whole ride, or a range of it, out of the records; its efforts are to be ranked anew.
-- Not beyond so many ranges.
UPDATE workouts SET
    excluded = excluded OR %(whole)s,
    excluded_ranges = excluded_ranges + %(range)s::int8multirange,
    stale = true, fold_asked_at = NULL, updated_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s AND status <> 'DELETED'
    AND (
        %(whole)s OR (SELECT count(*) FROM unnest(excluded_ranges + %(range)s::int8multirange))
            <= greatest(%(most)s, (SELECT count(*) FROM unnest(excluded_ranges)))
    )
RETURNING id

-- name: include_workout
-- Undo exclude_workout; including the whole ride also includes every range of it.
UPDATE workouts SET
    excluded = excluded AND NOT %(whole)s,
    excluded_ranges = CASE
        WHEN %(whole)s THEN '{}'
        ELSE excluded_ranges - %(range)s::int8multirange
    END,
    stale = true, fold_asked_at = NULL, updated_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s AND status <> 'DELETED'
    AND (
        %(whole)s OR (SELECT count(*) FROM unnest(excluded_ranges - %(range)s::int8multirange))
            <= greatest(%(most)s, (SELECT count(*) FROM unnest(excluded_ranges)))
    )
RETURNING id

-- name: list_thresholds
-- Every day on which the athlete gave figures, the newest first.
SELECT effective_from, ftp, critical_power, w_prime, threshold_heartrate, max_heartrate, weight,
    source
FROM athlete_thresholds
WHERE user_id = %(user_id)s
ORDER BY effective_from DESC

-- name: put_thresholds
-- Give figures for a day; those that are not given stay as they were given for it before.
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
RETURNING *

-- name: delete_empty_thresholds
-- Delete a day of which every figure was removed.
DELETE FROM athlete_thresholds
WHERE user_id = %(user_id)s AND effective_from = %(effective_from)s
    AND coalesce(
        ftp, critical_power, w_prime, threshold_heartrate, max_heartrate, weight
    ) IS NULL

-- name: count_stale
-- How many of the user's workouts are still to be computed anew, and how many there are.
SELECT count(*) FILTER (WHERE stale AND status <> 'FAILED') AS pending, count(*) AS workouts
FROM workouts
WHERE status <> 'DELETED' AND user_id = %(user_id)s
