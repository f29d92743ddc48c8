-- name: list_records
SELECT metric, duration, value, workout_id, started_at
FROM personal_records
WHERE user_id = %(user_id)s AND (%(metric)s::text IS NULL OR metric = %(metric)s)
ORDER BY metric, duration

-- name: workout_curve
SELECT point.duration, point.power, workout_id
FROM workout_curves, unnest(durations, watts) AS point (duration, power)
WHERE workout_id = %(id)s AND user_id = %(user_id)s
ORDER BY point.duration

-- name: workout_bests
SELECT metric, duration, value, workout_id, started_at
FROM workout_bests
WHERE workout_id = %(id)s AND user_id = %(user_id)s
ORDER BY metric, duration

-- name: season_curve
SELECT DISTINCT ON (point.duration) point.duration, point.power, workout_id
FROM workout_curves
JOIN workouts ON workouts.id = workout_id AND NOT excluded,
    unnest(durations, watts) AS point (duration, power)
WHERE workout_curves.user_id = %(user_id)s
    AND (%(start)s::timestamptz IS NULL OR ridden_at >= %(start)s)
    AND (%(end)s::timestamptz IS NULL OR ridden_at < %(end)s)
ORDER BY point.duration, point.power DESC, ridden_at

-- name: critical_power
-- Work = W′ + CP · time, fitted to the best work over each duration from 2 to 20 minutes.
WITH bests AS (
    SELECT duration, max(value) AS power
    FROM workout_bests
    JOIN workout_curves USING (workout_id)
    WHERE workout_bests.user_id = %(user_id)s AND workout_curves.user_id = %(user_id)s
        AND metric = 'power' AND duration BETWEEN 120 AND 1200
        AND (%(start)s::timestamptz IS NULL OR ridden_at >= %(start)s)
        AND (%(end)s::timestamptz IS NULL OR ridden_at < %(end)s)
    GROUP BY duration
)
SELECT
    count(*) AS points,
    regr_slope(power * duration, duration) AS critical_power,
    regr_intercept(power * duration, duration) AS w_prime,
    regr_r2(power * duration, duration) AS r2,
    coalesce(jsonb_agg(jsonb_build_object('duration', duration, 'power', power)
        ORDER BY duration), '[]') AS bests
FROM bests

-- name: totals
-- By day, week (from Monday), month or year of the rider's time zone.
SELECT
    date_trunc(%(period)s, start_time AT TIME ZONE %(time_zone)s)::date AS start,
    count(*) AS workouts,
    coalesce(sum(recorded_time), 0) AS recorded_time,
    coalesce(sum(total_distance), 0) AS total_distance,
    coalesce(sum(total_elevation_gain), 0) AS total_elevation_gain,
    coalesce(sum((summary #>> '{precise,totalEnergy}')::double precision), 0) AS total_energy,
    coalesce(sum(training_stress_score), 0) AS training_stress_score
FROM workouts
WHERE user_id = %(user_id)s AND status IN ('COMPLETED', 'ARCHIVED')
    AND (%(start)s::timestamptz IS NULL OR start_time >= %(start)s)
    AND (%(end)s::timestamptz IS NULL OR start_time < %(end)s)
GROUP BY 1
ORDER BY 1 DESC

-- name: daily_stress
SELECT
    (start_time AT TIME ZONE %(time_zone)s)::date AS day,
    sum(training_stress_score) AS training_stress_score
FROM workouts
WHERE user_id = %(user_id)s AND status IN ('COMPLETED', 'ARCHIVED')
    AND training_stress_score IS NOT NULL
GROUP BY 1
ORDER BY 1
