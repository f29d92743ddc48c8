-- name: get_ownership
-- What an upload must know; another user's workout is as absent as a deleted one.
SELECT
    status IN ('PROCESSING', 'COMPLETED', 'ARCHIVED', 'FAILED') AS finished,
    (
        SELECT coalesce(sum(samples), 0)::int FROM workout_channels
        WHERE workout_id = visible_workouts.id AND channel = 'timestamp'
    ) AS archived,
    removed_ranges
FROM visible_workouts
WHERE id = %(id)s AND user_id = %(user_id)s

-- name: ask_for_checkpoints_of
-- A user's rides under way are to be archived now, unless that was asked for seconds ago. The time
-- that is given makes them the first that the sweeper asks for, if the event that follows is lost.
-- One that is being folded is left out.
UPDATE workouts SET fold_asked_at = 'epoch'
WHERE id IN (
    SELECT id FROM workouts
    WHERE user_id = %(user_id)s AND status IN ('ACTIVE', 'PAUSED')
        AND (
            fold_asked_at IS NULL
            OR (fold_asked_at > 'epoch' AND fold_asked_at < now() - interval '5 seconds')
        )
    FOR NO KEY UPDATE SKIP LOCKED
)
RETURNING id
