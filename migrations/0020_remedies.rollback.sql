-- Cropped rides are whole again, and spikes that riders vouched for are spikes again. What was
-- removed stays so, but may be uploaded again.
DROP VIEW IF EXISTS visible_workouts;

CREATE VIEW visible_workouts AS
SELECT
    id, user_id, stream_name, title, description, sport, status, start_time, end_time, duration,
    summary, excluded, excluded_ranges, created_at, updated_at
FROM workouts
WHERE status <> 'DELETED';

UPDATE workouts SET stale = true, fold_asked_at = NULL
WHERE crop IS NOT NULL OR vouched_ranges <> '{}';

ALTER TABLE workouts
    DROP COLUMN IF EXISTS removed_ranges,
    DROP COLUMN IF EXISTS vouched_ranges,
    DROP COLUMN IF EXISTS crop,
    DROP COLUMN IF EXISTS overwritten;
