-- name: create_user
-- A new user, or the one there is with that address: a row that was updated has an xmax.
INSERT INTO users (email, display_name)
VALUES (%(email)s, %(display_name)s)
ON CONFLICT (lower(email)) DO UPDATE SET email = users.email
RETURNING id, email, created_at, xmax = 0 AS is_new

-- name: register
-- A new user; no row if the address or the provider's id is taken.
INSERT INTO users (email, password_hash, provider, provider_id, display_name, settings)
VALUES (
    %(email)s, %(password_hash)s, %(provider)s, %(provider_id)s, %(display_name)s,
    jsonb_build_object('timeZone', %(time_zone)s::text)
)
ON CONFLICT DO NOTHING
RETURNING id

-- name: create_local_user
-- The user as whom requests without a key act, by a key that nobody has; nothing if they are there.
WITH local AS (
    INSERT INTO users (id, email, display_name)
    VALUES (%(user_id)s::uuid, %(user_id)s::uuid || '@local.invalid', 'Local user')
    ON CONFLICT DO NOTHING
    RETURNING id
)
INSERT INTO api_keys (id, user_id, hash, name, scopes)
SELECT %(key_id)s, id, %(hash)s, 'requests without a key', '{upload,read,admin}' FROM local

-- name: use_invitation
-- Use up an invitation, which is good for one user; nothing if it is unknown, used or expired.
UPDATE invitations SET used_by = %(user_id)s, used_at = now()
WHERE hash = %(hash)s AND used_at IS NULL AND expires_at > now()

-- name: create_invitation
-- A new invitation, good for so many seconds. Only the hash of its code is kept.
INSERT INTO invitations (hash, expires_at)
VALUES (%(hash)s, now() + make_interval(secs => %(lifetime)s))

-- name: find_login
-- The user who may log in with an address and a password.
SELECT id, password_hash
FROM active_users
WHERE lower(email) = lower(%(email)s) AND password_hash IS NOT NULL

-- name: find_provider_user
-- The user whom a provider knows by that id, disabled or not.
SELECT id, disabled_at IS NOT NULL AS disabled
FROM users
WHERE provider = %(provider)s AND provider_id = %(provider_id)s AND deleted_at IS NULL

-- name: get_profile
-- A user's own data as the API shows it. The provider is named where it alone logs the user in.
SELECT id, email, display_name, avatar_url, coalesce(settings ->> 'timeZone', 'UTC') AS time_zone,
    CASE WHEN password_hash IS NULL THEN provider END AS provider, created_at, last_login_at
FROM users
WHERE id = %(user_id)s

-- name: count_storage
-- Bytes that a user's originals have, as they were sent, and its archived samples take; those of
-- deleted rides until they are purged.
SELECT
    (
        SELECT coalesce(sum(size), 0)::bigint
        FROM uploads JOIN upload_files ON upload_id = uploads.id
        WHERE user_id = %(user_id)s
    ) AS originals,
    (
        SELECT coalesce(sum(coalesce(sample_bytes, (
            SELECT sum(octet_length(data)) FROM workout_channels WHERE workout_id = workouts.id
        ))), 0)::bigint
        FROM workouts
        WHERE user_id = %(user_id)s
    ) AS samples

-- name: list_storage
-- The same of every user, for the operator, the largest first.
SELECT email, coalesce(originals, 0)::bigint AS originals, coalesce(samples, 0)::bigint AS samples
FROM users
LEFT JOIN (
    SELECT user_id, sum(size) AS originals
    FROM uploads JOIN upload_files ON upload_id = uploads.id
    GROUP BY user_id
) AS files ON files.user_id = users.id
LEFT JOIN (
    SELECT user_id, sum(coalesce(sample_bytes, (
        SELECT sum(octet_length(data)) FROM workout_channels WHERE workout_id = workouts.id
    ))) AS samples
    FROM workouts
    GROUP BY user_id
) AS archived ON archived.user_id = users.id
WHERE deleted_at IS NULL
ORDER BY coalesce(originals, 0) + coalesce(samples, 0) DESC, email

-- name: find_ftp
-- The FTP of cycling that holds on this day of the user's time zone.
SELECT ftp
FROM athlete_thresholds
JOIN users ON users.id = user_id
WHERE user_id = %(user_id)s AND ftp IS NOT NULL
    AND effective_from <= (now() AT TIME ZONE coalesce(settings ->> 'timeZone', 'UTC'))::date
ORDER BY effective_from DESC
LIMIT 1

-- name: update_profile
-- Change the name and the picture where asked to, and the time zone where one is given.
UPDATE users SET
    display_name = CASE WHEN %(set_display_name)s THEN %(display_name)s ELSE display_name END,
    avatar_url = CASE WHEN %(set_avatar_url)s THEN %(avatar_url)s ELSE avatar_url END,
    settings = CASE
        WHEN %(time_zone)s::text IS NULL THEN settings
        ELSE settings || jsonb_build_object('timeZone', %(time_zone)s::text)
    END,
    updated_at = now()
WHERE id = %(user_id)s

-- name: set_password
-- A new password, whatever there was before.
UPDATE users SET password_hash = %(password_hash)s, updated_at = now()
WHERE id = %(user_id)s

-- name: renew_hash
-- The same password, hashed anew; nothing if it has been changed since it was compared.
UPDATE users SET password_hash = %(password_hash)s
WHERE id = %(user_id)s AND password_hash = %(compared)s

-- name: note_login
-- The time of a login; nothing if the user has been disabled or deleted, or has changed the
-- password, since it was compared. Locks the user: whoever sets a password after this sees the
-- session that it must end.
UPDATE active_users SET last_login_at = now()
WHERE id = %(user_id)s AND (%(compared)s::text IS NULL OR password_hash = %(compared)s)

-- name: delete_user
-- Empty the row, so that at once nobody can tell whose it was. Workers remove what belongs to it,
-- and then the row.
UPDATE users SET
    email = id || '@deleted.invalid', password_hash = NULL, provider = NULL, provider_id = NULL,
    display_name = NULL, avatar_url = NULL, settings = '{}', last_login_at = NULL,
    deleted_at = now(), updated_at = now()
WHERE id = %(user_id)s

-- name: delete_files
-- The originals that a user has sent; what is known of the uploads goes with the user's row.
DELETE FROM upload_files
WHERE upload_id IN (SELECT id FROM uploads WHERE user_id = %(user_id)s)

-- name: delete_keys
-- All keys and sessions of a user.
DELETE FROM api_keys WHERE user_id = %(user_id)s

-- name: delete_apps
-- The apps that a user has registered, with all that other users let them in by.
DELETE FROM apps WHERE user_id = %(user_id)s

-- name: delete_grants
-- All by which a user lets apps in, with their tokens.
DELETE FROM app_grants WHERE user_id = %(user_id)s

-- name: delete_answers
-- What was answered to a user's requests with an Idempotency-Key.
DELETE FROM idempotency_keys WHERE user_id = %(user_id)s

-- name: create_key
-- A new key. Only its hash is kept.
INSERT INTO api_keys (id, user_id, hash, name, scopes, expires_at)
VALUES (%(id)s, %(user_id)s, %(hash)s, %(name)s, %(scopes)s, %(expires_at)s)

-- name: create_session
-- A new session, which expires after so many seconds of PostgreSQL's clock.
INSERT INTO api_keys (id, user_id, hash, name, scopes, session, expires_at)
VALUES (
    %(id)s, %(user_id)s, %(hash)s, 'session', %(scopes)s, true,
    now() + make_interval(secs => %(lifetime)s)
)

-- name: end_sessions
-- End a user's sessions but for the newest few (of programs that log in again and again) and for
-- those to keep (which may outlive a change of the password).
UPDATE open_keys SET revoked_at = now()
WHERE session AND user_id = %(user_id)s AND id <> ALL(%(kept)s)
    AND id NOT IN (
        SELECT id FROM open_keys
        WHERE session AND user_id = %(user_id)s
        ORDER BY created_at DESC
        LIMIT %(newest)s
    )

-- name: find_key
-- A key that opens, by its public id: whose it is, and what to compare it with.
SELECT user_id, hash, scopes, least(expires_at, revoked_at) AS expires_at,
    CASE WHEN session THEN created_at END AS session_since,
    (SELECT app_id FROM app_grants WHERE app_grants.id = grant_id) AS app
FROM open_keys
JOIN active_users ON active_users.id = user_id
WHERE open_keys.id = %(id)s

-- name: find_ended_uploads
-- Of pairs of a key and a workout, those of which either is no more: the key does not open, or the
-- workout is deleted. A subquery with a LIMIT is run pair by pair, each by its two ids.
SELECT key_id, workout_id
FROM unnest(%(key_ids)s::text[], %(workout_ids)s::uuid[]) AS pair (key_id, workout_id)
WHERE (
    SELECT true
    FROM open_keys
    JOIN active_users ON active_users.id = open_keys.user_id
    JOIN visible_workouts ON visible_workouts.user_id = active_users.id
    WHERE open_keys.id = pair.key_id AND visible_workouts.id = pair.workout_id
    LIMIT 1
) IS NULL

-- name: lock_open_key
-- The key in use, if it opens still. Its user is locked first, as whoever ends sessions does it:
-- what ends this key either waits until this transaction is over, or is seen by it.
WITH caller AS (
    SELECT id FROM active_users WHERE id = %(user_id)s FOR NO KEY UPDATE
)
SELECT open_keys.id
FROM open_keys
JOIN caller ON caller.id = open_keys.user_id
WHERE open_keys.id = %(id)s
    -- It may have ended while this waited, which is after this transaction's now().
    AND (revoked_at IS NULL OR revoked_at > clock_timestamp())
FOR SHARE OF open_keys

-- name: touch_keys
-- Note that keys have just been used. Written in batches, off the request path.
UPDATE api_keys SET last_used_at = now() WHERE id = ANY(%(ids)s)

-- name: get_key
-- One key, as its owner sees it.
SELECT * FROM shown_keys WHERE id = %(id)s

-- name: list_keys
-- A user's keys that open, newest first; those that apps have are no keys of the user's own.
SELECT shown_keys.*
FROM shown_keys
JOIN open_keys USING (id)
WHERE user_id = %(user_id)s AND grant_id IS NULL
ORDER BY shown_keys.created_at DESC, id

-- name: find_open_key
-- One of a user's keys, if it opens still, as its owner sees it.
SELECT shown_keys.* FROM shown_keys JOIN open_keys USING (id)
WHERE id = %(id)s AND user_id = %(user_id)s

-- name: count_keys
-- How many keys of a user open, without sessions and what apps have.
SELECT count(*) AS keys FROM open_keys
WHERE user_id = %(user_id)s AND NOT session AND grant_id IS NULL

-- name: rotate_key
-- A new key like an old one, which goes on opening for so many seconds. A session is not rotated:
-- its user logs in again; nor is what an app has.
WITH old AS (
    UPDATE open_keys SET revoked_at = now() + make_interval(secs => %(overlap)s)
    WHERE id = %(old_id)s AND user_id = %(user_id)s AND revoked_at IS NULL AND NOT session
        AND grant_id IS NULL
    RETURNING user_id, name, scopes, expires_at
)
INSERT INTO api_keys (id, user_id, hash, name, scopes, expires_at)
SELECT %(id)s, user_id, %(hash)s, name, scopes, expires_at FROM old

-- name: revoke_key
-- End one of a user's keys now.
UPDATE open_keys SET revoked_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s AND grant_id IS NULL

-- name: write_audit
-- Record an action, and the key by which it was done.
INSERT INTO audit_log (user_id, key_id, action, detail)
VALUES (%(user_id)s, %(key_id)s, %(action)s, %(detail)s)

-- name: list_acts
-- A page of what is on record about a user, oldest first, after the entry of that time and id.
SELECT id, action, key_id, detail, created_at
FROM audit_log
WHERE user_id = %(user_id)s
    AND (
        %(after_time)s::timestamptz IS NULL
        OR (created_at, id) > (%(after_time)s, %(after_id)s::bigint)
    )
ORDER BY created_at, id
LIMIT %(limit)s

-- name: find_by_email
-- A user for the operator, disabled or not.
SELECT id, email FROM users WHERE lower(email) = lower(%(email)s)

-- name: list_users
-- Every user for the operator, the oldest first, with how much it has and when it was last seen.
SELECT
    email, created_at, disabled_at,
    (SELECT count(*) FROM workouts WHERE user_id = users.id AND status <> 'DELETED') AS rides,
    (SELECT count(*) FROM open_keys WHERE user_id = users.id AND grant_id IS NULL) AS keys,
    (SELECT max(last_used_at) FROM api_keys WHERE user_id = users.id) AS last_seen_at
FROM users
WHERE deleted_at IS NULL
ORDER BY created_at, id

-- name: revoke_any_key
-- End a key now, for the operator: whose it was.
UPDATE open_keys SET revoked_at = now()
WHERE id = %(id)s
RETURNING user_id

-- name: set_disabled
-- Disable a user, or enable it again.
UPDATE users SET
    disabled_at = CASE WHEN %(disabled)s THEN coalesce(disabled_at, now()) END, updated_at = now()
WHERE lower(email) = lower(%(email)s)
RETURNING id

-- name: end_tokens_of_apps
-- End the access tokens of the apps that a user has registered. Enabled again, they refresh.
UPDATE open_keys SET revoked_at = now()
WHERE grant_id IN (
    SELECT app_grants.id FROM app_grants JOIN apps ON apps.id = app_id
    WHERE apps.user_id = %(user_id)s
)
