DROP VIEW IF EXISTS shown_uploads;
-- A view cannot lose columns in place.
DROP VIEW IF EXISTS visible_workouts;
ALTER TABLE workouts
    DROP COLUMN IF EXISTS duplicate_of,
    DROP COLUMN IF EXISTS upload_id,
    DROP COLUMN IF EXISTS device,
    DROP COLUMN IF EXISTS pauses,
    DROP COLUMN IF EXISTS laps;
CREATE VIEW visible_workouts AS
SELECT
    id, user_id, stream_name, title, description, sport, status, start_time, end_time, duration,
    summary, excluded, excluded_ranges, created_at, updated_at, crop, vouched_ranges, removed_ranges
FROM workouts
WHERE status <> 'DELETED';
DROP TABLE IF EXISTS upload_files;
DROP TABLE IF EXISTS uploads;
