-- name: create_user
-- A new user, or the one there is with that address.
INSERT INTO users (email, display_name)
VALUES (%(email)s, %(display_name)s)
ON CONFLICT (lower(email)) DO UPDATE SET email = users.email
RETURNING id, email, created_at

-- name: create_key
-- Only the hash of the key is kept.
INSERT INTO api_keys (id, user_id, hash, name, scopes, expires_at)
VALUES (%(id)s, %(user_id)s, %(hash)s, %(name)s, %(scopes)s, %(expires_at)s)

-- name: find_key
-- A key that still opens, by its public id. One that was rotated does until its overlap ends.
SELECT api_keys.id, user_id, hash, scopes, least(expires_at, revoked_at) AS expires_at
FROM api_keys
JOIN users ON users.id = user_id AND disabled_at IS NULL
WHERE api_keys.id = %(id)s
    AND (revoked_at IS NULL OR revoked_at > now())
    AND (expires_at IS NULL OR expires_at > now())

-- name: touch_keys
-- Written in batches, off the request path.
UPDATE api_keys SET last_used_at = now() WHERE id = ANY(%(ids)s)

-- name: list_keys
-- Those that still open, newest first; never a hash.
SELECT id, name, scopes, created_at, expires_at, revoked_at, last_used_at
FROM api_keys
WHERE user_id = %(user_id)s
    AND (revoked_at IS NULL OR revoked_at > now())
    AND (expires_at IS NULL OR expires_at > now())
ORDER BY created_at DESC, id

-- name: create_own_key
-- Unless the user has so many that still open.
INSERT INTO api_keys (id, user_id, hash, name, scopes, expires_at)
SELECT %(id)s, %(user_id)s, %(hash)s, %(name)s, %(scopes)s, %(expires_at)s
WHERE %(most)s > (
    SELECT count(*) FROM api_keys
    WHERE user_id = %(user_id)s
        AND (revoked_at IS NULL OR revoked_at > now())
        AND (expires_at IS NULL OR expires_at > now())
)
RETURNING id, name, scopes, created_at, expires_at, revoked_at, last_used_at

-- name: rotate_key
-- A key like another one, which goes on opening for the overlap.
WITH old AS (
    UPDATE api_keys SET revoked_at = now() + make_interval(secs => %(overlap)s)
    WHERE id = %(old_id)s AND user_id = %(user_id)s AND revoked_at IS NULL
        AND (expires_at IS NULL OR expires_at > now())
    RETURNING user_id, name, scopes, expires_at
)
INSERT INTO api_keys (id, user_id, hash, name, scopes, expires_at)
SELECT %(id)s, user_id, %(hash)s, name, scopes, expires_at FROM old
RETURNING id, name, scopes, created_at, expires_at, revoked_at, last_used_at

-- name: revoke_key
UPDATE api_keys SET revoked_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s AND (revoked_at IS NULL OR revoked_at > now())
RETURNING id

-- name: write_audit
INSERT INTO audit_log (user_id, key_id, action, detail)
VALUES (%(user_id)s, %(key_id)s, %(action)s, %(detail)s)

-- name: find_by_email
SELECT id, email FROM users WHERE lower(email) = lower(%(email)s)

-- name: list_users
SELECT
    email, created_at, disabled_at,
    (SELECT count(*) FROM workouts WHERE user_id = users.id AND status <> 'DELETED') AS rides,
    (
        SELECT count(*) FROM api_keys
        WHERE user_id = users.id AND (revoked_at IS NULL OR revoked_at > now())
            AND (expires_at IS NULL OR expires_at > now())
    ) AS keys,
    (SELECT max(last_used_at) FROM api_keys WHERE user_id = users.id) AS last_seen_at
FROM users
ORDER BY created_at, id

-- name: revoke_any_key
-- By whoever runs the service.
UPDATE api_keys SET revoked_at = now()
WHERE id = %(id)s AND (revoked_at IS NULL OR revoked_at > now())
RETURNING user_id

-- name: set_disabled
-- Shut a user out, or let them in again.
UPDATE users SET
    disabled_at = CASE WHEN %(disabled)s THEN coalesce(disabled_at, now()) END, updated_at = now()
WHERE lower(email) = lower(%(email)s)
RETURNING id
