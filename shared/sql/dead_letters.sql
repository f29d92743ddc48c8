-- name: write_letter
-- Write a letter, unless this event has one; fail_workout changes the workout.
INSERT INTO dead_letters (event_id, event, reason, traceback, deliveries)
VALUES (%(event_id)s, %(event)s, %(reason)s, %(traceback)s, %(deliveries)s)
ON CONFLICT (event_id) DO NOTHING
RETURNING id

-- name: list_dead_letters
-- Letters not replayed, newest first; or one by id, replayed or not.
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
-- Replay one letter, or all not yet replayed: the workout gets its status back, and is due for a
-- fold.
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
