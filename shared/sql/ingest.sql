-- name: get_ownership
-- What an upload must know; another user's workout is as absent as a deleted one.
SELECT status IN ('PROCESSING', 'COMPLETED', 'ARCHIVED', 'FAILED') AS finished
FROM visible_workouts
WHERE id = %(id)s AND user_id = %(user_id)s
