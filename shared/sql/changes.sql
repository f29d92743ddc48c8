-- name: get_log
-- What the changes are written to, which another database and a restored one tell otherwise: one that
-- was led back to a moment is the same, but goes on by another timeline. And the oldest transaction
-- that is still writing.
SELECT
    (SELECT system_identifier FROM pg_control_system())::text
        || '.' || ('changes'::regclass::oid)::text
        || '.' || left(pg_walfile_name(pg_current_wal_lsn()), 8) AS name,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon

-- name: list_changes
-- What has changed of a user after a place. Not beyond the oldest transaction that is still writing:
-- what that has changed comes before what others have changed since, once it is there.
SELECT kind, subject, id, transaction::text::bigint AS transaction, deleted, changed_at
FROM changes
WHERE user_id = %(user_id)s
    AND (transaction, id) > (%(transaction)s::bigint::text::xid8, %(id)s::bigint)
    AND transaction < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY transaction, id
LIMIT %(limit)s

-- name: list_workouts
-- The rides of a user in the order of their starts, after a place.
SELECT id, start_time AS at, updated_at AS changed_at FROM visible_workouts
WHERE user_id = %(user_id)s
    AND (
        %(after_id)s::uuid IS NULL
        OR (start_time, id) > (%(after_time)s::timestamptz, %(after_id)s)
    )
ORDER BY start_time, id
LIMIT %(limit)s

-- name: list_uploads
-- The files of a user in the order in which they came, those of zips too, after a place.
SELECT id, created_at AS at, updated_at AS changed_at FROM uploads
WHERE user_id = %(user_id)s
    AND (
        %(after_id)s::uuid IS NULL
        OR (created_at, id) > (%(after_time)s::timestamptz, %(after_id)s)
    )
ORDER BY created_at, id
LIMIT %(limit)s
