DROP INDEX IF EXISTS workouts_user;
