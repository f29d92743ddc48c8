-- name: get_ownership
-- What an upload must know; another user's workout is as absent as a deleted one.
SELECT
    status IN ('PROCESSING', 'COMPLETED', 'ARCHIVED', 'FAILED') AS finished,
    (
        SELECT coalesce(sum(samples), 0)::int FROM workout_channels
        WHERE workout_id = %(id)s AND channel = 'timestamp'
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

-- name: find_access_changes
-- What may have ended who may upload where, by any transaction that an earlier question may not have
-- seen: those from its horizon on. And the horizon for the next question, and which table this is: a
-- restored one knows nothing of what was before.
SELECT
    'access_changes'::regclass::oid::bigint AS source,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon,
    coalesce(array_agg(key_id) FILTER (WHERE key_id IS NOT NULL), '{}') AS key_ids,
    coalesce(array_agg(workout_id ORDER BY id) FILTER (WHERE workout_id IS NOT NULL), '{}')
        AS workout_ids,
    coalesce(array_agg(user_id ORDER BY id) FILTER (WHERE workout_id IS NOT NULL), '{}') AS owner_ids,
    coalesce(
        array_agg(user_id) FILTER (WHERE key_id IS NULL AND workout_id IS NULL), '{}'
    ) AS user_ids
FROM access_changes
WHERE transaction >= %(since)s::text::xid8

-- name: purge_access_changes
-- Forget changes that every process has seen, or else it has forgotten all that it knew.
DELETE FROM access_changes WHERE made_at < now() - make_interval(secs => %(kept_for)s)
