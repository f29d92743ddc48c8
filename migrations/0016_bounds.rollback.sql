CREATE INDEX IF NOT EXISTS workouts_user ON workouts (user_id);
DROP INDEX IF EXISTS workouts_created;
DROP INDEX IF EXISTS workouts_under_way;
