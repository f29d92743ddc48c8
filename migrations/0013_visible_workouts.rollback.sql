DROP VIEW IF EXISTS visible_workouts;
