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
