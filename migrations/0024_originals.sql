-- depends: 0023_uploads
-- Which workouts came out of which uploads; and originals that are kept in an object store.

-- The workouts that an upload made or changed, or that its rides were found to be. They may be
-- deleted, or purged.
CREATE OR REPLACE VIEW upload_workouts AS
SELECT uploads.id AS upload_id, parent_id, user_id, sha256, created_at, made.id AS workout_id
FROM uploads, unnest(
    workout_ids || ARRAY(
        SELECT (each ->> 'workoutId')::uuid FROM jsonb_array_elements(duplicates) AS each
    )
) AS made (id);

-- The names of objects in the store, each noted before the object is put: those that no file refers
-- to, because something was cut off or the file is deleted, are deleted by the sweeper. Names are
-- not deleted with their user, so that the objects are found.
CREATE TABLE IF NOT EXISTS stored_objects (
    name       text PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A file's bytes are in the row, or in the store.
ALTER TABLE upload_files
    ALTER COLUMN data DROP NOT NULL,
    ADD COLUMN IF NOT EXISTS object text UNIQUE REFERENCES stored_objects (name);
ALTER TABLE upload_files DROP CONSTRAINT IF EXISTS upload_files_one_place;
ALTER TABLE upload_files ADD CONSTRAINT upload_files_one_place
    CHECK ((data IS NULL) <> (object IS NULL)) NOT VALID;
ALTER TABLE upload_files VALIDATE CONSTRAINT upload_files_one_place;
