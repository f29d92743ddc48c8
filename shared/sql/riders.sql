-- name: get_rider
SELECT id, email, display_name, coalesce(settings ->> 'timeZone', 'UTC') AS time_zone, created_at
FROM users
WHERE id = %(user_id)s

-- name: update_rider
UPDATE users SET
    display_name = CASE WHEN %(set_display_name)s THEN %(display_name)s ELSE display_name END,
    settings = CASE
        WHEN %(time_zone)s::text IS NULL THEN settings
        ELSE settings || jsonb_build_object('timeZone', %(time_zone)s::text)
    END,
    updated_at = now()
WHERE id = %(user_id)s
RETURNING id, email, display_name, coalesce(settings ->> 'timeZone', 'UTC') AS time_zone, created_at

-- name: list_thresholds
SELECT effective_from, ftp, critical_power, w_prime, threshold_heartrate, max_heartrate, weight,
    source
FROM athlete_thresholds
WHERE user_id = %(user_id)s
ORDER BY effective_from DESC

-- name: put_thresholds
INSERT INTO athlete_thresholds (
    user_id, effective_from, ftp, critical_power, w_prime, threshold_heartrate, max_heartrate,
    weight, source
) VALUES (
    %(user_id)s, %(effective_from)s, %(ftp)s, %(critical_power)s, %(w_prime)s,
    %(threshold_heartrate)s, %(max_heartrate)s, %(weight)s, %(source)s
)
ON CONFLICT (user_id, effective_from) DO UPDATE SET
    ftp = excluded.ftp, critical_power = excluded.critical_power, w_prime = excluded.w_prime,
    threshold_heartrate = excluded.threshold_heartrate, max_heartrate = excluded.max_heartrate,
    weight = excluded.weight, source = excluded.source

-- name: delete_thresholds
DELETE FROM athlete_thresholds
WHERE user_id = %(user_id)s AND effective_from = %(effective_from)s

-- name: mark_stale_from
-- The rides from a day on, in the rider's time zone: their figures are to be computed anew.
UPDATE workouts SET stale = true, fold_asked_at = NULL
FROM users
WHERE users.id = workouts.user_id AND workouts.user_id = %(user_id)s AND status <> 'DELETED'
    AND (start_time AT TIME ZONE coalesce(users.settings ->> 'timeZone', 'UTC'))::date
        >= %(effective_from)s::date
RETURNING workouts.id

-- name: mark_stale
-- All workouts, or those of a user, or since a moment.
UPDATE workouts SET stale = true, fold_asked_at = NULL
FROM users
WHERE users.id = workouts.user_id AND status <> 'DELETED'
    AND (%(email)s::text IS NULL OR lower(users.email) = lower(%(email)s))
    AND (%(since)s::timestamptz IS NULL OR start_time >= %(since)s)

-- name: count_stale
-- Of all users, or of one.
SELECT count(*) FILTER (WHERE stale AND status <> 'FAILED') AS pending, count(*) AS workouts
FROM workouts
WHERE status <> 'DELETED' AND (%(user_id)s::uuid IS NULL OR user_id = %(user_id)s)
