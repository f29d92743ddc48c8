-- name: list_thresholds
SELECT effective_from, ftp, critical_power, w_prime, threshold_heartrate, max_heartrate, weight,
    source
FROM athlete_thresholds
WHERE user_id = %(user_id)s
ORDER BY effective_from DESC

-- name: get_thresholds
SELECT effective_from, ftp, critical_power, w_prime, threshold_heartrate, max_heartrate, weight,
    source
FROM athlete_thresholds
WHERE user_id = %(user_id)s AND effective_from = %(effective_from)s

-- name: put_thresholds
-- What was not given stays as it was given before for that day.
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

-- name: delete_empty_thresholds
DELETE FROM athlete_thresholds
WHERE user_id = %(user_id)s AND effective_from = %(effective_from)s
    AND coalesce(
        ftp, critical_power, w_prime, threshold_heartrate, max_heartrate, weight
    ) IS NULL

-- name: mark_stale_from
-- The rides from a day on, in the rider's time zone: their figures are to be computed anew. Locked
-- in one order, and before the rider, as folds do: no deadlock.
UPDATE workouts SET stale = true, fold_asked_at = NULL
WHERE id IN (
    SELECT workouts.id
    FROM workouts
    JOIN users ON users.id = workouts.user_id
    WHERE user_id = %(user_id)s AND status <> 'DELETED'
        AND (start_time AT TIME ZONE coalesce(users.settings ->> 'timeZone', 'UTC'))::date
            >= %(effective_from)s::date
    ORDER BY workouts.id
    FOR NO KEY UPDATE OF workouts
)

-- name: find_user
SELECT id FROM users WHERE lower(email) = lower(%(email)s)

-- name: mark_stale
-- Some more of all workouts, or of those of a user, or since a moment, in the order of their ids.
WITH marked AS (
    UPDATE workouts SET stale = true, fold_asked_at = NULL
    WHERE id IN (
        SELECT workouts.id
        FROM workouts
        JOIN users ON users.id = workouts.user_id
        WHERE NOT stale AND status NOT IN ('DELETED', 'FAILED') AND summary IS NOT NULL
            AND (%(after)s::uuid IS NULL OR workouts.id > %(after)s)
            AND (%(email)s::text IS NULL OR lower(users.email) = lower(%(email)s))
            AND (%(since)s::timestamptz IS NULL OR start_time >= %(since)s)
        ORDER BY workouts.id
        LIMIT %(portion)s
        FOR NO KEY UPDATE OF workouts
    )
    RETURNING id
)
SELECT id FROM marked ORDER BY id

-- name: count_marked
-- How many of those are still to do.
SELECT count(*) AS pending
FROM workouts
JOIN users ON users.id = workouts.user_id
WHERE stale AND status NOT IN ('DELETED', 'FAILED')
    AND (%(email)s::text IS NULL OR lower(users.email) = lower(%(email)s))
    AND (%(since)s::timestamptz IS NULL OR start_time >= %(since)s)

-- name: count_stale
-- Of one user.
SELECT count(*) FILTER (WHERE stale AND status <> 'FAILED') AS pending, count(*) AS workouts
FROM workouts
WHERE status <> 'DELETED' AND user_id = %(user_id)s
