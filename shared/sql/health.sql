-- name: find_schema
-- Whether the newest of what the API reads is there.
SELECT to_regclass('visible_workouts') IS NOT NULL AS migrated
