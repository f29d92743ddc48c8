-- depends: 0011_rides_of_users
-- What several queries ask of users and keys, said once.

-- Users who may log in, and whose keys open.
CREATE OR REPLACE VIEW active_users AS
SELECT id, email, password_hash, last_login_at
FROM users
WHERE disabled_at IS NULL AND deleted_at IS NULL;

-- A key as its owner sees it: all but the hash. It is read by `SELECT *` into a type with just these
-- members: a column more would break the code still running, so make another view instead.
CREATE OR REPLACE VIEW shown_keys AS
SELECT id, name, scopes, session, created_at, expires_at, revoked_at, last_used_at
FROM api_keys;
