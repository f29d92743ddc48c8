DROP VIEW IF EXISTS upload_workouts;
