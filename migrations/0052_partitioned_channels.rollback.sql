-- What `make partition` has not finished.
DROP TRIGGER IF EXISTS workout_channels_copied ON workout_channels;
DROP FUNCTION IF EXISTS copy_channels();
DROP TABLE IF EXISTS workout_channels_copy;

-- Its rows are copied under a lock, and folds wait for that: the version before works with the
-- partitions too, but does not restore a backup of them.
DO $$
DECLARE
    grants text[];
    each text;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = 'workout_channels'::regclass) <> 'p' THEN
        RETURN;
    END IF;
    LOCK TABLE workouts, workout_channels IN ACCESS EXCLUSIVE MODE;
    CREATE TABLE workout_channels_copy (LIKE workout_channels INCLUDING ALL);
    INSERT INTO workout_channels_copy SELECT * FROM workout_channels;
    grants := ARRAY(
        SELECT format(
            'GRANT %s ON workout_channels TO %s %s', privilege_type,
            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
            CASE WHEN is_grantable THEN 'WITH GRANT OPTION' END
        )
        FROM pg_class, aclexplode(relacl)
        WHERE oid = 'workout_channels'::regclass AND grantee <> relowner
    );
    DROP TABLE workout_channels;
    ALTER TABLE workout_channels_copy RENAME TO workout_channels;
    ALTER TABLE workout_channels
        RENAME CONSTRAINT workout_channels_copy_pkey TO workout_channels_pkey;
    ALTER TABLE workout_channels ADD CONSTRAINT workout_channels_workout_id_fkey
        FOREIGN KEY (workout_id) REFERENCES workouts ON DELETE CASCADE;
    FOREACH each IN ARRAY grants LOOP
        EXECUTE each;
    END LOOP;
END $$;
