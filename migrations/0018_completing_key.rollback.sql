ALTER TABLE workouts DROP COLUMN IF EXISTS completed_by;
