-- name: bury
-- A letter, unless this event has one or its workout failed before; and only with a letter is the
-- workout FAILED. Its samples stay where they are.
WITH letter AS (
    INSERT INTO dead_letters (
        event_id, workout_id, status_before, event, reason, traceback, deliveries
    )
    SELECT
        %(event_id)s, workouts.id, workouts.status,
        %(event)s, %(reason)s, %(traceback)s, %(deliveries)s
    FROM (VALUES (%(workout_id)s::uuid)) AS named (workout_id)
    LEFT JOIN workouts ON workouts.id = named.workout_id
    WHERE workouts.status IS DISTINCT FROM 'FAILED'
    ON CONFLICT (event_id) DO NOTHING
    RETURNING workout_id
)
UPDATE workouts SET status = 'FAILED', updated_at = now()
FROM letter
WHERE workouts.id = letter.workout_id AND status <> 'DELETED'

-- name: list_dead_letters
-- Those still waiting for a person, newest first; or one, whatever became of it.
SELECT dead_letters.id, dead_letters.workout_id, email, workouts.status::text, deliveries,
    reason, traceback, event, dead_letters.created_at, replayed_at
FROM dead_letters
LEFT JOIN workouts ON workouts.id = dead_letters.workout_id
LEFT JOIN users ON users.id = workouts.user_id
WHERE CASE
    WHEN %(id)s::bigint IS NULL THEN replayed_at IS NULL
    ELSE dead_letters.id = %(id)s
END
ORDER BY dead_letters.created_at DESC, dead_letters.id DESC
LIMIT %(limit)s

-- name: replay_dead_letters
-- One, or all that wait. The workout is again what it was, and due for a fold.
WITH replayed AS (
    UPDATE dead_letters SET replayed_at = now()
    WHERE replayed_at IS NULL AND (%(id)s::bigint IS NULL OR id = %(id)s)
    RETURNING workout_id, status_before, event
),
revived AS (
    UPDATE workouts SET
        status = coalesce(status_before, 'PROCESSING'),
        stale = true, fold_asked_at = now(), updated_at = now()
    FROM replayed
    WHERE workouts.id = replayed.workout_id AND status = 'FAILED'
)
SELECT event FROM replayed
