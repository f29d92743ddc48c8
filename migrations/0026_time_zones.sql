-- depends: 0025_words_of_uploads
-- In which time zone a ride out of a file began, by its IANA name; or the offset that its device
-- knew, as `Etc/GMT-2`.

ALTER TABLE workouts ADD COLUMN IF NOT EXISTS time_zone text;

CREATE OR REPLACE VIEW visible_workouts AS
SELECT
    id, user_id, stream_name, title, description, sport, status, start_time, end_time, duration,
    summary, excluded, excluded_ranges, created_at, updated_at, crop, vouched_ranges, removed_ranges,
    laps, pauses, device, upload_id, duplicate_of, time_zone
FROM workouts
WHERE status <> 'DELETED';
