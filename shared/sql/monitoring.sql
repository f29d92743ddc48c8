-- name: limit_look
-- Whoever only looks must not wait for ever, nor hold anybody up.
SELECT set_config('statement_timeout', %(ms)s::int::text, true)

-- name: read_backlog
-- What waits for workers by what the rows say, for how long the oldest has, and the clock. A delivery
-- waits for them once it is due and its webhook was last tried: a slow receiver is no fault of theirs.
SELECT
    completions.waiting AS completions, completions.oldest AS oldest_completion,
    imports.waiting AS imports, imports.oldest AS oldest_import,
    deliveries.waiting AS deliveries, deliveries.oldest AS oldest_delivery,
    (SELECT count(*) FROM workouts WHERE stale) AS recomputes,
    (SELECT count(*) FROM dead_letters WHERE replayed_at IS NULL) AS dead_letters,
    (
        SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 FROM users
    ) AS in_use_for,
    extract(epoch FROM clock_timestamp())::float8 AS clock
FROM (
    SELECT count(*) AS waiting,
        coalesce(
            extract(epoch FROM now() - min(coalesce(completed_at, updated_at))), 0
        )::float8 AS oldest
    FROM workouts
    WHERE status = 'PROCESSING'
) AS completions, (
    SELECT count(*) AS waiting,
        coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 AS oldest
    FROM uploads
    WHERE status IN ('queued', 'processing')
) AS imports, (
    SELECT coalesce(sum(of_webhook.waiting), 0)::bigint AS waiting,
        coalesce(
            extract(
                epoch FROM now() - min(greatest(first.due_at, of_webhook.tried_at))
                    FILTER (WHERE first.due_at IS NOT NULL)
            ), 0
        )::float8 AS oldest
    FROM (
        SELECT webhook_id, count(*) AS waiting, max(tried_at) AS tried_at
        FROM webhook_deliveries
        JOIN webhooks ON webhooks.id = webhook_id AND disabled_at IS NULL
        JOIN active_users ON active_users.id = user_id
        WHERE status = 'waiting'
        GROUP BY webhook_id
    ) AS of_webhook
    LEFT JOIN LATERAL (
        SELECT due_at
        FROM (
            SELECT id, webhook_id, subject_id, due_at
            FROM webhook_deliveries
            WHERE webhook_id = of_webhook.webhook_id AND status = 'waiting' AND due_at <= now()
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
        LIMIT 1
    ) AS first ON true
) AS deliveries

-- name: count_completions
-- How many rides are over and wait for their figures.
SELECT count(*) AS rides FROM workouts WHERE status = 'PROCESSING'

-- name: read_server
-- The version, whether rows can be written, and how many of the connections are taken.
SELECT
    current_setting('server_version_num')::int AS version,
    pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool AS read_only,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
    current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int AS most_connections,
    current_setting('autovacuum')::bool AS autovacuum,
    (SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()) AS xid_age,
    extract(epoch FROM clock_timestamp())::float8 AS clock

-- name: read_archiver
-- The segment of WAL that could not be archived the last time, and for how long none has been.
SELECT last_failed_wal AS segment,
    extract(epoch FROM clock_timestamp() - coalesce(last_archived_time, stats_reset))::float8 AS seconds
FROM pg_stat_archiver
WHERE last_failed_time > coalesce(last_archived_time, '-infinity')

-- name: list_invalid_indexes
-- Indexes that were not built to their end: no query uses them, every write pays for them.
SELECT indexrelid::regclass::text AS name FROM pg_index WHERE NOT indisvalid

-- name: list_unvacuumed
-- Tables of ours that are never cleaned up, by a setting of theirs.
SELECT oid::regclass::text AS name FROM pg_class
WHERE relkind = 'r' AND reloptions && '{autovacuum_enabled=false,autovacuum_enabled=off}'

-- name: find_copy
-- The copy of the samples that `make partition` has not finished.
SELECT relname AS name FROM pg_class WHERE oid = to_regclass('workout_channels_copy')

-- name: list_idle_transactions
-- Transactions that do nothing, for so many seconds: they hold locks, and dead rows.
SELECT pid, application_name AS name, extract(epoch FROM now() - state_change)::float8 AS seconds
FROM pg_stat_activity
WHERE datname = current_database() AND state LIKE 'idle in transaction%%'
    AND state_change < now() - make_interval(secs => %(patience)s)
ORDER BY state_change

-- name: list_table_sizes
-- Bytes of each table with its indexes and partitions, the largest first; live and dead rows are
-- estimates.
SELECT coalesce(pg_partition_root(relid), relid)::regclass::text AS name,
    sum(pg_total_relation_size(relid))::bigint AS bytes,
    sum(pg_indexes_size(relid))::bigint AS index_bytes, sum(n_live_tup)::bigint AS rows,
    sum(n_dead_tup)::bigint AS dead_rows
FROM pg_stat_user_tables
GROUP BY 1
ORDER BY bytes DESC, name

-- name: list_connections
-- Who is connected, what they do, and for how long.
SELECT application_name AS name, coalesce(state, 'unknown') AS state, count(*) AS connections,
    max(extract(epoch FROM now() - state_change))::float8 AS longest
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
GROUP BY application_name, state
ORDER BY connections DESC, name, state

-- name: has_statistics
-- Whether the extension pg_stat_statements is installed in this database.
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_stat_statements') AS installed

-- name: list_applied
-- The migrations that have been applied.
SELECT migration_id AS name FROM _yoyo_migration
