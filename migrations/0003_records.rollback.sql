DROP TABLE IF EXISTS athlete_thresholds;
DROP TABLE IF EXISTS personal_records;
DROP TABLE IF EXISTS workout_bests;
