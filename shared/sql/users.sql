-- name: create_user
-- A new user, or the one there is with that address: a row that was updated has an xmax.
INSERT INTO users (email, display_name)
VALUES (%(email)s, %(display_name)s)
ON CONFLICT (lower(email)) DO UPDATE SET email = users.email
RETURNING id, email, created_at, xmax = 0 AS is_new

-- name: register
-- A new user; no row if the address or the identity is taken.
INSERT INTO users (email, password_hash, provider, provider_id, display_name)
VALUES (%(email)s, %(password_hash)s, %(provider)s, %(provider_id)s, %(display_name)s)
ON CONFLICT DO NOTHING
RETURNING id

-- name: use_invitation
-- Good for one user; no row if it is none that waits.
UPDATE invitations SET used_by = %(user_id)s, used_at = now()
WHERE hash = %(hash)s AND used_at IS NULL AND expires_at > now()
RETURNING hash

-- name: create_invitation
INSERT INTO invitations (hash, expires_at)
VALUES (%(hash)s, now() + make_interval(secs => %(lifetime)s))

-- name: find_login
-- Who may log in with a password.
SELECT id, password_hash
FROM users
WHERE lower(email) = lower(%(email)s) AND disabled_at IS NULL AND deleted_at IS NULL

-- name: find_identity
-- Whom a provider means by a subject of its.
SELECT id, disabled_at IS NOT NULL AS disabled
FROM users
WHERE provider = %(provider)s AND provider_id = %(provider_id)s AND deleted_at IS NULL

-- name: set_password
UPDATE users SET password_hash = %(password_hash)s, updated_at = now()
WHERE id = %(user_id)s

-- name: renew_hash
-- The same password, hashed anew; no row if it is another one by now.
UPDATE users SET password_hash = %(password_hash)s
WHERE id = %(user_id)s AND password_hash = %(compared)s
RETURNING id

-- name: note_login
-- No row if what was proved holds no more. Locks the user: whoever sets a password after this sees
-- the session that it must end.
UPDATE users SET last_login_at = now()
WHERE id = %(user_id)s AND disabled_at IS NULL AND deleted_at IS NULL
    AND (%(compared)s::text IS NULL OR password_hash = %(compared)s)
RETURNING id

-- name: delete_user
-- At once nobody can tell whose the row was; workers remove what hangs on it, then the row.
UPDATE users SET
    email = id || '@deleted.invalid', password_hash = NULL, provider = NULL, provider_id = NULL,
    display_name = NULL, avatar_url = NULL, settings = '{}', last_login_at = NULL,
    deleted_at = now(), updated_at = now()
WHERE id = %(user_id)s

-- name: delete_keys
DELETE FROM api_keys WHERE user_id = %(user_id)s

-- name: create_key
-- Only the hash of the key is kept.
INSERT INTO api_keys (id, user_id, hash, name, scopes, expires_at)
VALUES (%(id)s, %(user_id)s, %(hash)s, %(name)s, %(scopes)s, %(expires_at)s)
RETURNING id, name, scopes, session, created_at, expires_at, revoked_at, last_used_at

-- name: create_session
INSERT INTO api_keys (id, user_id, hash, name, scopes, session, expires_at)
VALUES (
    %(id)s, %(user_id)s, %(hash)s, %(name)s, %(scopes)s, true,
    now() + make_interval(secs => %(lifetime)s)
)
RETURNING id, name, scopes, session, created_at, expires_at, revoked_at, last_used_at

-- name: end_sessions
-- All but the newest few, or but the one to keep: programs that log in again and again, and
-- whoever logged in with a password that has been changed.
UPDATE open_keys SET revoked_at = now()
WHERE session AND user_id = %(user_id)s AND id <> ALL(%(kept)s)
    AND id NOT IN (
        SELECT id FROM open_keys
        WHERE session AND user_id = %(user_id)s
        ORDER BY created_at DESC
        LIMIT %(newest)s
    )
RETURNING id

-- name: find_key
-- A key that still opens, by its public id.
SELECT open_keys.id, user_id, hash, scopes, least(expires_at, revoked_at) AS expires_at,
    CASE WHEN session THEN open_keys.created_at END AS session_since
FROM open_keys
JOIN users ON users.id = user_id AND disabled_at IS NULL AND deleted_at IS NULL
WHERE open_keys.id = %(id)s

-- name: touch_keys
-- Written in batches, off the request path.
UPDATE api_keys SET last_used_at = now() WHERE id = ANY(%(ids)s)

-- name: list_keys
-- Those that still open, newest first; never a hash.
SELECT id, name, scopes, session, created_at, expires_at, revoked_at, last_used_at
FROM open_keys
WHERE user_id = %(user_id)s
ORDER BY created_at DESC, id

-- name: count_keys
SELECT count(*) AS keys FROM open_keys WHERE user_id = %(user_id)s AND NOT session

-- name: rotate_key
-- A key like another one, which goes on opening for the overlap. A session is not rotated: one
-- logs in again.
WITH old AS (
    UPDATE open_keys SET revoked_at = now() + make_interval(secs => %(overlap)s)
    WHERE id = %(old_id)s AND user_id = %(user_id)s AND revoked_at IS NULL AND NOT session
    RETURNING user_id, name, scopes, expires_at
)
INSERT INTO api_keys (id, user_id, hash, name, scopes, expires_at)
SELECT %(id)s, user_id, %(hash)s, name, scopes, expires_at FROM old
RETURNING id, name, scopes, session, created_at, expires_at, revoked_at, last_used_at

-- name: revoke_key
UPDATE open_keys SET revoked_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s
RETURNING id

-- name: write_audit
INSERT INTO audit_log (user_id, key_id, action, detail)
VALUES (%(user_id)s, %(key_id)s, %(action)s, %(detail)s)

-- name: list_acts
-- On the record of a user, oldest first, from a place on.
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
SELECT id, email FROM users WHERE lower(email) = lower(%(email)s)

-- name: list_users
SELECT
    email, created_at, disabled_at,
    (SELECT count(*) FROM workouts WHERE user_id = users.id AND status <> 'DELETED') AS rides,
    (SELECT count(*) FROM open_keys WHERE user_id = users.id) AS keys,
    (SELECT max(last_used_at) FROM api_keys WHERE user_id = users.id) AS last_seen_at
FROM users
WHERE deleted_at IS NULL
ORDER BY created_at, id

-- name: revoke_any_key
-- By whoever runs the service.
UPDATE open_keys SET revoked_at = now()
WHERE id = %(id)s
RETURNING user_id

-- name: set_disabled
-- Shut a user out, or let them in again.
UPDATE users SET
    disabled_at = CASE WHEN %(disabled)s THEN coalesce(disabled_at, now()) END, updated_at = now()
WHERE lower(email) = lower(%(email)s)
RETURNING id
