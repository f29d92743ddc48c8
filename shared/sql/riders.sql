-- name: mark_stale_from
-- The rides from a day on, in the user's time zone, of every sport or of the one with those names:
-- their figures are to be computed anew. Locked in the order of their ids, and before the user, as
-- folds lock them: no deadlock.
UPDATE workouts SET stale = true, fold_asked_at = NULL
WHERE id IN (
    SELECT workouts.id
    FROM workouts
    JOIN users ON users.id = workouts.user_id
    WHERE user_id = %(user_id)s AND status <> 'DELETED'
        AND (%(names)s::text[] IS NULL OR lower(translate(sport, '-_', '')) = ANY(%(names)s))
        AND (start_time AT TIME ZONE coalesce(users.settings ->> 'timeZone', 'UTC'))::date
            >= %(effective_from)s::date
    ORDER BY workouts.id
    FOR NO KEY UPDATE OF workouts
)

-- name: find_user
-- The id of the user with an email address.
SELECT id FROM users WHERE lower(email) = lower(%(email)s)

-- name: mark_stale
-- Mark the next portion of workouts, in the order of their ids, to be computed anew: of all users or
-- one, from the beginning or since a moment.
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
-- How many workouts, of all users or one and since a moment, are still to be computed anew.
SELECT count(*) AS pending
FROM workouts
JOIN users ON users.id = workouts.user_id
WHERE stale AND status NOT IN ('DELETED', 'FAILED')
    AND (%(email)s::text IS NULL OR lower(users.email) = lower(%(email)s))
    AND (%(since)s::timestamptz IS NULL OR start_time >= %(since)s)
