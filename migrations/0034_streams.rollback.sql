DROP TABLE IF EXISTS ftp_changes;
DROP INDEX IF EXISTS workouts_stream;
