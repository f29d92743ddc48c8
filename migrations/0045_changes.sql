-- depends: 0044_webhooks
-- What has changed of each user, so that an app which was away catches up.

-- One row a thing, however often it changes. "transaction" and id order the changes: a reader goes
-- no further than the oldest transaction that is still writing, so that it misses none.
CREATE TABLE IF NOT EXISTS changes (
    user_id     uuid NOT NULL,
    kind        text NOT NULL,
    subject     text NOT NULL,
    id          bigint GENERATED ALWAYS AS IDENTITY,
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
    deleted     boolean NOT NULL DEFAULT false,
    changed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (user_id, kind, subject)
);

CREATE INDEX IF NOT EXISTS changes_order ON changes (user_id, transaction, id);
