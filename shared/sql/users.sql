-- name: create_user
-- A new user, or the one there is with that address.
INSERT INTO users (email, display_name)
VALUES (%(email)s, %(display_name)s)
ON CONFLICT (lower(email)) DO UPDATE SET email = users.email
RETURNING id, email, created_at

-- name: create_key
-- Only the hash of the key is kept.
INSERT INTO api_keys (id, user_id, hash, name, scopes)
VALUES (%(id)s, %(user_id)s, %(hash)s, %(name)s, %(scopes)s)

-- name: find_key
-- A key that still opens, by its public id.
SELECT id, user_id, hash, scopes, expires_at
FROM api_keys
WHERE id = %(id)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())

-- name: touch_keys
-- Written in batches, off the request path.
UPDATE api_keys SET last_used_at = now() WHERE id = ANY(%(ids)s)
