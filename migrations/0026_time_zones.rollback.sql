-- A view cannot lose columns in place.
DROP VIEW IF EXISTS visible_workouts;
ALTER TABLE workouts DROP COLUMN IF EXISTS time_zone;
CREATE VIEW visible_workouts AS
SELECT
    id, user_id, stream_name, title, description, sport, status, start_time, end_time, duration,
    summary, excluded, excluded_ranges, created_at, updated_at, crop, vouched_ranges, removed_ranges,
    laps, pauses, device, upload_id, duplicate_of
FROM workouts
WHERE status <> 'DELETED';
