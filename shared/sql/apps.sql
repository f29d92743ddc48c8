-- name: find_app
-- An app by its id, unless who has registered it is disabled or deleted. registrant: the name that
-- user goes by.
SELECT apps.id, user_id, name, redirect_uris, secret_hash,
    (SELECT display_name FROM users WHERE users.id = user_id) AS registrant
FROM apps
WHERE id = %(id)s
    AND (user_id IS NULL OR EXISTS (SELECT FROM active_users WHERE active_users.id = user_id))

-- name: create_app
-- A new app, of a user or of the operator.
INSERT INTO apps (user_id, name, redirect_uris, secret_hash)
VALUES (%(user_id)s, %(name)s, %(redirect_uris)s, %(secret_hash)s)
RETURNING id, name, redirect_uris, secret_hash IS NOT NULL AS confidential, created_at

-- name: list_apps
-- The apps that a user has registered, newest first.
SELECT id, name, redirect_uris, secret_hash IS NOT NULL AS confidential, created_at
FROM apps
WHERE user_id = %(user_id)s
ORDER BY created_at DESC, id

-- name: get_own_app
-- One of them.
SELECT id, name, redirect_uris, secret_hash IS NOT NULL AS confidential, created_at
FROM apps
WHERE id = %(id)s AND user_id = %(user_id)s

-- name: change_app
-- What is null stays as it is. Codes and tokens that were given stay, too.
UPDATE apps SET
    name = coalesce(%(name)s, name),
    redirect_uris = coalesce(%(redirect_uris)s::text[], redirect_uris)
WHERE id = %(id)s AND user_id = %(user_id)s
RETURNING id, name, redirect_uris, secret_hash IS NOT NULL AS confidential, created_at

-- name: rotate_app_secret
-- A new secret of an app that has one; the old one ends at once.
UPDATE apps SET secret_hash = %(secret_hash)s
WHERE id = %(id)s AND user_id = %(user_id)s AND secret_hash IS NOT NULL
RETURNING id, name, redirect_uris, true AS confidential, created_at

-- name: delete_app
-- Delete one of a user's apps, and with it all that it was let in by.
DELETE FROM apps WHERE id = %(id)s AND user_id = %(user_id)s

-- name: list_all_apps
-- Every app for the operator, the oldest first, with who has registered it and who uses it.
SELECT apps.id, name, redirect_uris, secret_hash IS NOT NULL AS confidential, apps.created_at,
    email, (
        SELECT count(DISTINCT app_grants.user_id)
        FROM app_grants
        WHERE app_id = apps.id AND code_used_at IS NOT NULL AND revoked_at IS NULL
    ) AS riders
FROM apps
LEFT JOIN users ON users.id = apps.user_id
ORDER BY apps.created_at, apps.id

-- name: delete_any_app
-- Delete an app, for the operator: its name, and whose it was.
DELETE FROM apps WHERE id = %(id)s
RETURNING name, user_id

-- name: create_grant
-- Let an app in by a code; nothing if the app is gone.
INSERT INTO app_grants
    (app_id, user_id, scopes, redirect_uri, code_hash, code_challenge, code_expires_at)
SELECT id, %(user_id)s, %(scopes)s, %(redirect_uri)s, %(code_hash)s, %(code_challenge)s,
    now() + make_interval(secs => %(lifetime)s)
FROM apps
WHERE id = %(app_id)s
FOR KEY SHARE
RETURNING id

-- name: lock_code
-- What a code lets in: while it may be used, and afterwards, so that its reuse is noticed.
SELECT app_grants.id, app_id, user_id, scopes, redirect_uri, code_challenge,
    code_used_at IS NOT NULL AS used
FROM app_grants
JOIN active_users ON active_users.id = user_id
WHERE code_hash = %(code_hash)s AND revoked_at IS NULL
    AND (code_used_at IS NOT NULL OR code_expires_at > now())
FOR UPDATE OF app_grants

-- name: lock_refreshed
-- The grant of a refresh token, unless it was revoked. Whoever uses or revokes it waits.
SELECT app_grants.id, app_id, user_id, scopes
FROM app_grants
JOIN active_users ON active_users.id = user_id
WHERE app_grants.id = (SELECT grant_id FROM app_refresh_tokens WHERE hash = %(hash)s)
    AND revoked_at IS NULL
FOR UPDATE OF app_grants

-- name: find_refresh_token
-- A refresh token, once its grant is locked. is_repeatable: it was used so short a time ago that
-- the client may have lost the answer.
SELECT used_at IS NOT NULL AS used, salt,
    coalesce(used_at > now() - make_interval(secs => %(grace)s), false) AS is_repeatable
FROM app_refresh_tokens
WHERE hash = %(hash)s AND (used_at IS NOT NULL OR expires_at > now())

-- name: use_code
-- Use a code; nothing if it was used before.
UPDATE app_grants SET code_used_at = now(), used_at = now()
WHERE id = %(id)s AND code_used_at IS NULL
RETURNING id

-- name: use_refresh_token
-- Use a refresh token; nothing if it was used before.
UPDATE app_refresh_tokens SET used_at = now(), salt = %(salt)s
WHERE hash = %(hash)s AND used_at IS NULL
RETURNING grant_id

-- name: note_refresh
-- When a grant got its newest tokens.
UPDATE app_grants SET used_at = now() WHERE id = %(id)s

-- name: add_refresh_token
-- A refresh token. Only its hash is kept.
INSERT INTO app_refresh_tokens (hash, grant_id, expires_at)
VALUES (%(hash)s, %(grant_id)s, now() + make_interval(secs => %(lifetime)s))

-- name: add_access_token
-- An access token: a key of the grant's user that expires soon.
INSERT INTO api_keys (id, user_id, hash, name, scopes, expires_at, grant_id)
VALUES (
    %(id)s, %(user_id)s, %(hash)s, 'app', %(scopes)s,
    now() + make_interval(secs => %(lifetime)s), %(grant_id)s
)

-- name: find_access_token
-- An access token by its public id: of which app and grant.
SELECT api_keys.id, hash, api_keys.user_id, app_id, grant_id, api_keys.scopes, expires_at
FROM api_keys
JOIN app_grants ON app_grants.id = grant_id
WHERE api_keys.id = %(id)s

-- name: revoke_access_token
-- End one access token now.
UPDATE open_keys SET revoked_at = now() WHERE id = %(id)s AND grant_id IS NOT NULL

-- name: revoke_grant
-- End a grant; its tokens are ended by the next statement, which sees those just made, too.
UPDATE app_grants SET revoked_at = now() WHERE id = %(id)s AND revoked_at IS NULL

-- name: revoke_grants
-- End all by which a user lets an app in; or all but the newest few and those whose codes wait.
UPDATE app_grants SET revoked_at = now()
WHERE user_id = %(user_id)s AND app_id = %(app_id)s AND revoked_at IS NULL
    AND (code_used_at IS NOT NULL OR %(newest)s = 0)
    AND id NOT IN (
        SELECT id FROM app_grants
        WHERE user_id = %(user_id)s AND app_id = %(app_id)s AND revoked_at IS NULL
            AND code_used_at IS NOT NULL
        ORDER BY created_at DESC, id
        LIMIT %(newest)s
    )
RETURNING id

-- name: end_access_tokens
-- End the access tokens of these grants.
UPDATE open_keys SET revoked_at = now() WHERE grant_id = ANY(%(grant_ids)s)

-- name: list_connections
-- The apps that a user lets in, the last used first. A grant that never got tokens is none.
SELECT app_id, apps.name, array_agg(DISTINCT scope ORDER BY scope) AS scopes,
    min(app_grants.created_at) AS since,
    greatest(max(app_grants.used_at), max(tokens.last_used_at)) AS last_used_at
FROM app_grants
JOIN apps ON apps.id = app_id
CROSS JOIN unnest(app_grants.scopes) AS scope
LEFT JOIN LATERAL (
    SELECT max(last_used_at) AS last_used_at FROM api_keys WHERE grant_id = app_grants.id
) AS tokens ON true
WHERE app_grants.user_id = %(user_id)s AND revoked_at IS NULL AND code_used_at IS NOT NULL
GROUP BY app_id, apps.name
ORDER BY last_used_at DESC, app_id

-- name: count_apps
-- How many apps a user has registered.
SELECT count(*) AS apps FROM apps WHERE user_id = %(user_id)s
