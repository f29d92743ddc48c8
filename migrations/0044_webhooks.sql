-- depends: 0042_lifetime
-- Webhooks: whom to tell what of a user's rides, and what is to be told.

-- secret, old_secret: whsec_… of Standard Webhooks; the old one signs beside the new until
-- old_secret_until. disabled_at: nothing is delivered since, for the reason.
CREATE TABLE IF NOT EXISTS webhooks (
    id               uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id          uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    url              text NOT NULL,
    events           text[] NOT NULL CHECK (
        cardinality(events) > 0 AND events <@ ARRAY[
            'workout.completed', 'workout.updated', 'workout.deleted', 'record.set', 'upload.failed'
        ]
    ),
    secret           text NOT NULL,
    old_secret       text,
    old_secret_until timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    disabled_at      timestamptz,
    disabled_reason  text
);

CREATE INDEX IF NOT EXISTS webhooks_user ON webhooks (user_id, created_at DESC, id DESC);

-- What is delivered to a webhook, in the order of ids for each subject: a workout or an upload.
-- message_id: of the event, the same for every webhook and every attempt. due_at: when to try next,
-- or until when a worker that tries has its lease. A redelivery by hand makes it waiting again.
CREATE TABLE IF NOT EXISTS webhook_deliveries (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook_id      uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    message_id      text NOT NULL,
    event           text NOT NULL,
    subject_id      uuid NOT NULL,
    payload         jsonb NOT NULL,
    status          text NOT NULL DEFAULT 'waiting'
        CHECK (status IN ('waiting', 'delivered', 'failed')),
    attempts        int NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now(),
    due_at          timestamptz NOT NULL DEFAULT now(),
    first_tried_at  timestamptz,
    tried_at        timestamptz,
    response_status int,
    problem         text
);

CREATE INDEX IF NOT EXISTS webhook_deliveries_list ON webhook_deliveries (webhook_id, id DESC);
CREATE INDEX IF NOT EXISTS webhook_deliveries_due ON webhook_deliveries (due_at)
    WHERE status = 'waiting';
CREATE INDEX IF NOT EXISTS webhook_deliveries_order
    ON webhook_deliveries (webhook_id, subject_id, id) WHERE status = 'waiting';
