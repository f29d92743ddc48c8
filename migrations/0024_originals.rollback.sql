-- Files whose bytes are in the store have none here: their rows go, and the objects stay.
DELETE FROM upload_files WHERE data IS NULL;
ALTER TABLE upload_files
    DROP CONSTRAINT IF EXISTS upload_files_one_place,
    DROP COLUMN IF EXISTS object;
ALTER TABLE upload_files ALTER COLUMN data SET NOT NULL;
DROP TABLE IF EXISTS stored_objects;
DROP VIEW IF EXISTS upload_workouts;
