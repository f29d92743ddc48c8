-- depends: 0011_rides_of_users
-- Workouts as their users see them: not the deleted ones, and not what only the service needs.
--
-- It can be written to, too: INSERT and UPDATE through it may return all of its columns, as the
-- workout then is. A later migration may add columns at its end.

CREATE OR REPLACE VIEW visible_workouts AS
SELECT
    id, user_id, stream_name, title, description, sport, status, start_time, end_time, duration,
    summary, excluded, excluded_ranges, created_at, updated_at
FROM workouts
WHERE status <> 'DELETED';
