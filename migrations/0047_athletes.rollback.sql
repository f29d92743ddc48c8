DROP INDEX IF EXISTS workouts_load;
DROP VIEW IF EXISTS open_athlete_shares;
DROP TABLE IF EXISTS athlete_shares;
