-- depends: 0008_disabled_users
-- Sessions, deletion of accounts, invitations.

-- A session is a key that logging in made: every scope, and an end.
ALTER TABLE api_keys ADD COLUMN IF NOT EXISTS session boolean NOT NULL DEFAULT false;

-- A deleted user is emptied at once; workers remove the rides, and then the row.
ALTER TABLE users ADD COLUMN IF NOT EXISTS deleted_at timestamptz;
CREATE INDEX IF NOT EXISTS users_deleted ON users (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS invitations (
    hash       bytea PRIMARY KEY CHECK (length(hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_by    uuid REFERENCES users ON DELETE SET NULL,
    used_at    timestamptz
);

-- Keys that open. One that was rotated does until its overlap ends.
CREATE OR REPLACE VIEW open_keys AS
SELECT id, user_id, hash, name, scopes, created_at, expires_at, revoked_at, last_used_at, session
FROM api_keys
WHERE (revoked_at IS NULL OR revoked_at > now()) AND (expires_at IS NULL OR expires_at > now());
