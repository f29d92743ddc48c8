-- depends: 0030_shares
-- What makes requests repeatable: with what a device has started a ride under an id of its own, and
-- what was answered to requests with an Idempotency-Key.

ALTER TABLE workouts ADD COLUMN IF NOT EXISTS started_with jsonb;

-- hash: of the key and of whose it is. answer: encrypted by the key, which is nowhere; fingerprint:
-- of what was asked for, by the key as well. user_id: whose data the answer tells.
CREATE TABLE IF NOT EXISTS idempotency_keys (
    hash        bytea PRIMARY KEY CHECK (length(hash) = 32),
    user_id     uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    answer      bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX IF NOT EXISTS idempotency_keys_user ON idempotency_keys (user_id);
CREATE INDEX IF NOT EXISTS idempotency_keys_age ON idempotency_keys (created_at);
