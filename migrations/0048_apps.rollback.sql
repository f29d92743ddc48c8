DROP VIEW IF EXISTS open_keys;
DELETE FROM api_keys WHERE grant_id IS NOT NULL;
ALTER TABLE api_keys DROP COLUMN IF EXISTS grant_id;
DROP TABLE IF EXISTS app_refresh_tokens;
DROP TABLE IF EXISTS app_grants;
DROP TABLE IF EXISTS apps;
CREATE VIEW open_keys AS
SELECT id, user_id, hash, name, scopes, created_at, expires_at, revoked_at, last_used_at, session
FROM api_keys
WHERE (revoked_at IS NULL OR revoked_at > now()) AND (expires_at IS NULL OR expires_at > now());
