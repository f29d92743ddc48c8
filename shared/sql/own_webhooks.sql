-- name: lock_webhooks
-- One webhook of a user is made at a time, so that all that are made are counted.
SELECT pg_advisory_xact_lock(hashtextextended(%(user_id)s::text, 7496059))

-- name: count_webhooks
-- How many webhooks a user has.
SELECT count(*) AS webhooks FROM webhooks WHERE user_id = %(user_id)s

-- name: create_webhook
-- A new webhook.
INSERT INTO webhooks (user_id, url, events, secret)
VALUES (%(user_id)s, %(url)s, %(events)s::text[], %(secret)s)
RETURNING id

-- name: list_webhooks
-- A user's webhooks, newest first, or one of them; without their secrets. With how many deliveries
-- wait, and what became of the newest.
SELECT id, url, events, created_at, disabled_at IS NULL AS enabled, disabled_at, disabled_reason,
    waiting, last_delivery,
    CASE WHEN old_secret_until > now() THEN old_secret_until END AS old_secret_until
FROM webhooks
CROSS JOIN LATERAL (
    SELECT count(*) AS waiting FROM webhook_deliveries
    WHERE webhook_id = webhooks.id AND status = 'waiting'
) AS counted
LEFT JOIN LATERAL (
    SELECT jsonb_build_object(
        'id', newest.id, 'event', event, 'status', status, 'createdAt', newest.created_at,
        'triedAt', tried_at, 'responseStatus', response_status, 'problem', problem
    ) AS last_delivery
    FROM webhook_deliveries AS newest
    WHERE webhook_id = webhooks.id
    ORDER BY newest.id DESC
    LIMIT 1
) AS last ON true
WHERE user_id = %(user_id)s AND (%(id)s::uuid IS NULL OR webhooks.id = %(id)s)
ORDER BY created_at DESC, id DESC

-- name: has_secret
-- Whether a user's webhook signs with a secret still.
SELECT id FROM webhooks
WHERE id = %(id)s AND user_id = %(user_id)s
    AND (secret = %(secret)s OR (old_secret = %(secret)s AND old_secret_until > now()))

-- name: change_webhook
-- What is null stays as it is. Disabled by hand, a webhook says so; let in again, it says nothing.
UPDATE webhooks SET
    url = coalesce(%(url)s, url),
    events = coalesce(%(events)s::text[], events),
    disabled_at = CASE
        WHEN %(enabled)s::boolean THEN NULL
        WHEN NOT %(enabled)s THEN coalesce(disabled_at, now())
        ELSE disabled_at
    END,
    disabled_reason = CASE
        WHEN %(enabled)s THEN NULL
        WHEN NOT %(enabled)s AND disabled_at IS NULL THEN %(reason)s
        ELSE disabled_reason
    END
WHERE id = %(id)s AND user_id = %(user_id)s
RETURNING id

-- name: try_waiting_anew
-- What waits of a disabled webhook that is to be let in is tried at once, and for as long as anything
-- new. The webhook's row is locked first, as by workers.
WITH webhook AS (
    SELECT id FROM webhooks
    WHERE id = %(id)s AND user_id = %(user_id)s AND disabled_at IS NOT NULL
    FOR NO KEY UPDATE
)
UPDATE webhook_deliveries SET due_at = now(), attempts = 0, first_tried_at = NULL
FROM webhook
WHERE webhook_id = webhook.id AND status = 'waiting'

-- name: rotate_secret
-- Sign with a new secret; with the old one beside it for so many seconds. The one before ends now.
UPDATE webhooks SET
    secret = %(secret)s,
    old_secret = CASE WHEN %(overlap)s::float8 > 0 THEN secret END,
    old_secret_until = CASE
        WHEN %(overlap)s > 0 THEN now() + %(overlap)s * interval '1 second'
    END
WHERE id = %(id)s AND user_id = %(user_id)s
RETURNING id

-- name: delete_webhook
-- With its deliveries.
DELETE FROM webhooks WHERE id = %(id)s AND user_id = %(user_id)s RETURNING id

-- name: list_deliveries
-- Those of a user's webhook, newest first, or those in one state; before a place.
SELECT
    webhook_deliveries.id, message_id, event, subject_id, payload, status, attempts,
    webhook_deliveries.created_at, tried_at, response_status, problem,
    CASE WHEN status = 'waiting' THEN due_at END AS next_attempt_at
FROM webhook_deliveries
JOIN webhooks ON webhooks.id = webhook_id
WHERE webhook_id = %(webhook_id)s AND user_id = %(user_id)s
    AND (%(status)s::text IS NULL OR status = %(status)s)
    AND (%(before)s::bigint IS NULL OR webhook_deliveries.id < %(before)s)
    AND (%(id)s::bigint IS NULL OR webhook_deliveries.id = %(id)s)
ORDER BY webhook_deliveries.id DESC
LIMIT %(limit)s

-- name: redeliver
-- Have a delivery tried anew, at once: one that has ended, or that waits for its next attempt. One that
-- a worker is sending may so be sent twice.
UPDATE webhook_deliveries SET
    status = 'waiting', due_at = now(), attempts = 0, first_tried_at = NULL
FROM webhooks
WHERE webhooks.id = webhook_id AND webhook_deliveries.id = %(id)s
    AND webhook_id = %(webhook_id)s AND user_id = %(user_id)s
