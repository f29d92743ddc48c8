-- name: find_watched
-- Of the rides that a process's viewers watch, those that are there, and how far each is folded.
-- Whose they are was looked at when the viewers came.
SELECT id, status, last_received_at FROM workouts
WHERE id = ANY(%(ids)s) AND status <> 'DELETED'

-- name: find_shut_keys
-- Of the keys by which they watch, those that do not open any more.
SELECT id FROM unnest(%(ids)s::text[]) AS watching (id)
WHERE NOT EXISTS (
    SELECT FROM open_keys
    JOIN active_users ON active_users.id = open_keys.user_id
    WHERE open_keys.id = watching.id
)

-- name: find_shut_readers
-- Of those who watch as readers of an athlete, by a key and a share, those of which either opens
-- nothing any more.
SELECT id FROM unnest(%(ids)s::text[]) AS watching (id)
WHERE NOT EXISTS (
    SELECT FROM open_keys
    JOIN open_athlete_shares ON reader_id = open_keys.user_id
    WHERE open_keys.id = split_part(watching.id, ' ', 1)
        AND open_athlete_shares.id = split_part(watching.id, ' ', 2)::uuid
)
