-- depends: 0013_visible_workouts
-- The key that ended a ride: if it may not read, it gets the figures of that ride alone.

ALTER TABLE workouts ADD COLUMN IF NOT EXISTS completed_by text;
