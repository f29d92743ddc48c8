-- name: lock_key
-- Whether this is the only request with its key; no other one is until the transaction ends.
SELECT pg_try_advisory_xact_lock(%(number)s::bigint) AS is_locked

-- name: find_answer
-- What was answered under a key, unless that is a day ago.
SELECT fingerprint, answer FROM idempotency_keys
WHERE hash = %(hash)s AND created_at > now() - interval '1 day'

-- name: keep_answer
-- Keep an answer; one that is there is of a day ago.
INSERT INTO idempotency_keys (hash, user_id, fingerprint, answer)
VALUES (%(hash)s, %(user_id)s, %(fingerprint)s, %(answer)s)
ON CONFLICT (hash) DO UPDATE SET
    user_id = excluded.user_id, fingerprint = excluded.fingerprint, answer = excluded.answer,
    created_at = excluded.created_at
