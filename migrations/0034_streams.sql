-- depends: 0031_repeatable_requests
-- Rides that a named stream feeds, and each FTP that a client has set.

-- stream_name: of a ride that a stream feeds; empty once that has ended, null if none ever did.
-- A stream feeds one ride at a time.
CREATE UNIQUE INDEX IF NOT EXISTS workouts_stream ON workouts (user_id, stream_name)
    WHERE stream_name <> '' AND status <> 'DELETED';

CREATE TABLE IF NOT EXISTS ftp_changes (
    id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id        uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    effective_from date NOT NULL,
    ftp            double precision NOT NULL CHECK (ftp > 0 AND ftp < 'Infinity'),
    source         text NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX IF NOT EXISTS ftp_changes_list ON ftp_changes (user_id, created_at DESC);
