-- Riders, and the keys their devices and programs use.

CREATE TABLE IF NOT EXISTS users (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email         text NOT NULL CHECK (email <> ''),
    password_hash text,
    provider      text,
    provider_id   text,
    display_name  text,
    avatar_url    text,
    settings      jsonb NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    last_login_at timestamptz,
    CHECK ((provider IS NULL) = (provider_id IS NULL)),
    UNIQUE (provider, provider_id)
);

CREATE UNIQUE INDEX IF NOT EXISTS users_email ON users (lower(email));

CREATE TABLE IF NOT EXISTS api_keys (
    id           text PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    hash         bytea NOT NULL CHECK (length(hash) = 32),
    name         text NOT NULL,
    scopes       text[] NOT NULL CHECK (scopes <@ ARRAY['upload', 'read', 'admin']),
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz
);

CREATE INDEX IF NOT EXISTS api_keys_user ON api_keys (user_id);
