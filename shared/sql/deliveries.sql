-- name: claim
-- Take some deliveries that are due, each user's first before anybody's second, and none while an
-- earlier one of the same webhook and subject waits: of a webhook's first thousand each is looked for in
-- an index, until there are enough; a join would compare all that waits of a ride with all. Until the
-- end of the lease nobody else takes them.
-- ``flying``: how many of whom are under way here already. Where more webhooks have something due than
-- are looked into at a time, any of them may be, so that none is passed over for long.
WITH telling AS MATERIALIZED (
    SELECT webhooks.id, webhooks.user_id, coalesce(flying.number, 0) AS flying
    FROM webhooks
    JOIN active_users ON active_users.id = webhooks.user_id
    LEFT JOIN unnest(%(users)s::uuid[], %(numbers)s::int[]) AS flying (user_id, number)
        ON flying.user_id = webhooks.user_id
    WHERE disabled_at IS NULL AND webhooks.id <> ALL(%(resting)s::uuid[])
        AND coalesce(flying.number, 0) < %(most_of_user)s
        AND EXISTS (
            SELECT FROM webhook_deliveries WHERE status = 'waiting' AND due_at <= now()
        )
        AND EXISTS (
            SELECT FROM webhook_deliveries
            WHERE webhook_id = webhooks.id AND status = 'waiting' AND due_at <= now()
        )
    ORDER BY random()
    LIMIT 256
), due AS (
    SELECT first.id, first.due_at,
        row_number() OVER (PARTITION BY user_id ORDER BY first.due_at, first.id)
            + flying AS turn
    FROM telling
    CROSS JOIN LATERAL (
        SELECT id, due_at
        FROM (
            SELECT id, webhook_id, subject_id, due_at
            FROM webhook_deliveries
            WHERE webhook_id = telling.id AND status = 'waiting' AND due_at <= now()
            ORDER BY due_at, id
            LIMIT 1000
        ) AS delivery
        WHERE id = (
            SELECT id FROM webhook_deliveries AS earliest
            WHERE earliest.webhook_id = delivery.webhook_id
                AND earliest.subject_id = delivery.subject_id
                AND earliest.status = 'waiting'
            ORDER BY id
            LIMIT 1
        )
        ORDER BY due_at, id
        LIMIT %(most_of_user)s
    ) AS first
), taken AS (
    SELECT id FROM webhook_deliveries
    WHERE status = 'waiting' AND due_at <= now() AND id IN (
        SELECT id FROM due
        WHERE turn <= %(most_of_user)s
        ORDER BY turn, due_at
        LIMIT %(most)s
    )
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE webhook_deliveries AS delivery SET
    due_at = now() + make_interval(secs => %(lease)s),
    attempts = attempts + 1,
    tried_at = now(),
    first_tried_at = coalesce(first_tried_at, now())
FROM taken, webhooks
WHERE delivery.id = taken.id AND webhooks.id = webhook_id
RETURNING delivery.id, webhook_id, user_id, message_id, payload, attempts, tried_at, url, secret,
    CASE WHEN old_secret_until > now() THEN old_secret END AS old_secret

-- name: note_delivered
-- The receiver has taken it; unless the lease was over, and another worker has taken over. The next one
-- that waited behind it follows at once.
WITH noted AS (
    UPDATE webhook_deliveries SET
        status = 'delivered', response_status = %(response_status)s, problem = NULL
    WHERE id = %(id)s AND tried_at = %(tried_at)s AND status = 'waiting'
    RETURNING status, webhook_id, subject_id
), next AS (
    SELECT later.id
    FROM noted
    CROSS JOIN LATERAL (
        SELECT id, due_at FROM webhook_deliveries
        WHERE webhook_id = noted.webhook_id AND subject_id = noted.subject_id
            AND webhook_deliveries.status = 'waiting' AND id > %(id)s
        ORDER BY id
        LIMIT 1
    ) AS later
    WHERE due_at > now()
), follows AS (
    UPDATE webhook_deliveries SET due_at = now() WHERE id IN (SELECT id FROM next)
)
SELECT status FROM noted

-- name: note_failed
-- Try again some time later; not beyond so many seconds after the first attempt, or where the receiver
-- wants no more: then the webhook is disabled. Its row is locked first, as by who deletes it. What waits
-- behind this one waits as long, and is not looked at meanwhile.
WITH webhook AS (
    SELECT id FROM webhooks WHERE id = %(webhook_id)s FOR NO KEY UPDATE
), noted AS (
    UPDATE webhook_deliveries AS delivery SET
        status = CASE
            WHEN %(is_final)s
                OR now() >= first_tried_at + make_interval(secs => %(patience)s) THEN 'failed'
            ELSE 'waiting'
        END,
        due_at = least(
            now() + make_interval(secs => %(delay)s),
            greatest(now(), first_tried_at + make_interval(secs => %(patience)s))
        ),
        response_status = %(response_status)s,
        problem = %(problem)s
    FROM webhook
    WHERE delivery.id = %(id)s AND webhook_id = webhook.id AND tried_at = %(tried_at)s
        AND status = 'waiting'
    RETURNING status, subject_id, due_at
), behind AS (
    UPDATE webhook_deliveries AS later SET due_at = noted.due_at
    FROM noted
    WHERE later.webhook_id = %(webhook_id)s AND later.subject_id = noted.subject_id
        AND later.id > %(id)s AND later.status = 'waiting' AND later.due_at < noted.due_at
), disabled AS (
    UPDATE webhooks SET disabled_at = now(), disabled_reason = %(reason)s
    FROM noted
    WHERE webhooks.id = %(webhook_id)s AND noted.status = 'failed' AND disabled_at IS NULL
)
SELECT status FROM noted

-- name: give_back
-- The attempt was broken off, as this worker stops: another one may take it at once.
UPDATE webhook_deliveries SET due_at = now(), attempts = greatest(attempts - 1, 0)
WHERE id = %(id)s AND tried_at = %(tried_at)s AND status = 'waiting'
RETURNING status
