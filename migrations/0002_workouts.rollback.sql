DROP TABLE IF EXISTS dead_letters;
DROP TABLE IF EXISTS workout_channels;
DROP TABLE IF EXISTS workouts;
DROP TYPE IF EXISTS workout_status;
