-- depends: 0019_sports
-- What riders put right, and what a ride says of samples that were replaced.
--
-- overwritten: how many samples a later one of the same timestamp gave other values; null, which
-- stays, for rides that began before this was counted. Ranges are in ms since the epoch.

ALTER TABLE workouts
    ADD COLUMN IF NOT EXISTS overwritten integer,
    ADD COLUMN IF NOT EXISTS crop int8range,
    ADD COLUMN IF NOT EXISTS vouched_ranges int8multirange NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS removed_ranges int8multirange NOT NULL DEFAULT '{}';

ALTER TABLE workouts ALTER COLUMN overwritten SET DEFAULT 0;

CREATE OR REPLACE VIEW visible_workouts AS
SELECT
    id, user_id, stream_name, title, description, sport, status, start_time, end_time, duration,
    summary, excluded, excluded_ranges, created_at, updated_at, crop, vouched_ranges, removed_ranges
FROM workouts
WHERE status <> 'DELETED';
