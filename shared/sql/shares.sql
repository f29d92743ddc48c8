-- name: create_share
-- A link to a workout of the user's; nothing if there is none.
WITH made AS (
    INSERT INTO shares
        (user_id, workout_id, hash, hide_metres, hide_places, with_description, expires_at)
    SELECT
        %(user_id)s, id, %(hash)s, %(hide_metres)s, %(hide_places)s, %(with_description)s,
        %(expires_at)s
    FROM visible_workouts
    WHERE id = %(workout_id)s AND user_id = %(user_id)s
    RETURNING
        id, workout_id, hide_metres, hide_places, with_description, created_at, expires_at
)
SELECT made.*, ride.title, ride.start_time
FROM made
JOIN visible_workouts AS ride ON ride.id = made.workout_id

-- name: count_shares
-- How many links of a user's open something.
SELECT count(*) AS shares FROM open_shares WHERE user_id = %(user_id)s

-- name: find_open_share
-- One of a user's links, if it opens something still.
SELECT id::text FROM open_shares WHERE id = %(id)s AND user_id = %(user_id)s

-- name: list_shares
-- A user's links that open something, newest first.
SELECT
    open_shares.id, open_shares.workout_id, hide_metres, hide_places, with_description,
    open_shares.created_at, expires_at, ride.title, ride.start_time
FROM open_shares
JOIN visible_workouts AS ride ON ride.id = open_shares.workout_id
WHERE open_shares.user_id = %(user_id)s
ORDER BY open_shares.created_at DESC, open_shares.id DESC

-- name: revoke_share
-- From now on the link opens nothing.
UPDATE shares SET revoked_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s AND revoked_at IS NULL AND expires_at > now()

-- name: find_share
-- What a link opens, by the hash of its token; and whom its ride is shown as.
SELECT
    open_shares.id, open_shares.user_id, workout_id, hide_metres, hide_places, with_description,
    expires_at, users.display_name AS rider
FROM open_shares
JOIN users ON users.id = open_shares.user_id
WHERE hash = %(hash)s

-- name: find_shut_shares
-- Of the links by which somebody watches, those that open nothing any more.
SELECT id::text FROM unnest(%(ids)s::uuid[]) AS watching (id)
WHERE NOT EXISTS (SELECT FROM open_shares WHERE open_shares.id = watching.id)

-- name: get_hidden
-- The places that a user never shows, and the salt.
SELECT salt, places FROM hidden_places WHERE user_id = %(user_id)s

-- name: keep_salt
-- Give a user a salt, unless there is one.
INSERT INTO hidden_places (user_id, salt) VALUES (%(user_id)s, %(salt)s)
ON CONFLICT (user_id) DO NOTHING

-- name: put_places
-- Replace the places that a user never shows; the salt stays.
INSERT INTO hidden_places (user_id, salt, places) VALUES (%(user_id)s, %(salt)s, %(places)s)
ON CONFLICT (user_id) DO UPDATE SET places = excluded.places
