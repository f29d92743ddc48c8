-- depends: 0045_changes
-- Apps of others, which riders let in by OAuth 2.1: who they are, what they may, their tokens.

-- Registered by a user, or by the operator, who is none. id: the client id. secret_hash: of an app
-- that can keep a secret.
CREATE TABLE IF NOT EXISTS apps (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id       uuid REFERENCES users ON DELETE CASCADE,
    name          text NOT NULL CHECK (name <> ''),
    redirect_uris text[] NOT NULL CHECK (cardinality(redirect_uris) > 0),
    secret_hash   bytea CHECK (length(secret_hash) = 32),
    created_at    timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX IF NOT EXISTS apps_user ON apps (user_id, created_at DESC, id);

-- That a user lets an app in, once for each device or browser: first as a code, which is used once.
-- used_at: when it got its newest tokens.
CREATE TABLE IF NOT EXISTS app_grants (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    app_id          uuid NOT NULL REFERENCES apps ON DELETE CASCADE,
    user_id         uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    scopes          text[] NOT NULL
        CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY['upload', 'read']),
    redirect_uri    text,
    code_hash       bytea NOT NULL UNIQUE CHECK (length(code_hash) = 32),
    code_challenge  text NOT NULL,
    code_expires_at timestamptz NOT NULL,
    code_used_at    timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    used_at         timestamptz,
    revoked_at      timestamptz
);

CREATE INDEX IF NOT EXISTS app_grants_user ON app_grants (user_id, app_id, created_at DESC);
CREATE INDEX IF NOT EXISTS app_grants_app ON app_grants (app_id);

-- Each is used once. salt: with it and the token itself, its successors are made once more for a
-- client that has not got the answer.
CREATE TABLE IF NOT EXISTS app_refresh_tokens (
    hash       bytea PRIMARY KEY CHECK (length(hash) = 32),
    grant_id   uuid NOT NULL REFERENCES app_grants ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    salt       bytea
);

CREATE INDEX IF NOT EXISTS app_refresh_tokens_grant ON app_refresh_tokens (grant_id);

-- An access token is a key like any other, of this grant.
ALTER TABLE api_keys
    ADD COLUMN IF NOT EXISTS grant_id uuid REFERENCES app_grants ON DELETE CASCADE;

-- Keys that open. One that was rotated does until its overlap ends.
CREATE OR REPLACE VIEW open_keys AS
SELECT id, user_id, hash, name, scopes, created_at, expires_at, revoked_at, last_used_at, session,
    grant_id
FROM api_keys
WHERE (revoked_at IS NULL OR revoked_at > now()) AND (expires_at IS NULL OR expires_at > now());
