-- name: read_written
-- Up to where the WAL is written: whatever was committed before this was asked is in it.
SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::int8 AS position

-- name: read_replayed
-- Whether the server follows another one, and up to where of its WAL: commits before are visible.
SELECT pg_is_in_recovery() AS follows,
    coalesce(pg_last_wal_replay_lsn() - '0/0'::pg_lsn, 0)::int8 AS position,
    coalesce(
        extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0
    )::float8 AS since_commit
