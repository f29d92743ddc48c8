-- depends: 0034_streams
-- How long samples are kept, where an operator limits that, and how much a user's take.

-- samples_deleted_at: since when the ride has its figures alone; no fold computes them anew.
-- sample_bytes: what its archived samples take; null for rides that were last folded before.
ALTER TABLE workouts
    ADD COLUMN IF NOT EXISTS samples_deleted_at timestamptz,
    ADD COLUMN IF NOT EXISTS sample_bytes bigint;

CREATE OR REPLACE VIEW visible_workouts AS
SELECT
    id, user_id, stream_name, title, description, sport, status, start_time, end_time, duration,
    summary, excluded, excluded_ranges, created_at, updated_at, crop, vouched_ranges, removed_ranges,
    laps, pauses, device, upload_id, duplicate_of, time_zone, samples_deleted_at
FROM workouts
WHERE status <> 'DELETED';
