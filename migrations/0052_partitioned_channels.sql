-- depends: 0049_app_tokens
-- Samples in 16 partitions by the hash of their ride (docs/scale.md), where there are none yet.
--
-- A table with rows stays as it is: a migration must not rewrite all samples there are, under a lock.
-- `make partition` does that while all goes on, and ends in this same schema. The statements of
-- every version run on either, since the table keeps its name, columns and constraints.
--
-- expand-only: what is dropped is empty, and its successor of the same name is there at once.
DO $$
DECLARE
    grants text[];
    each text;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = 'workout_channels'::regclass) = 'p'
        OR EXISTS (SELECT FROM workout_channels) THEN
        RETURN;
    END IF;
    LOCK TABLE workouts, workout_channels IN ACCESS EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM workout_channels) THEN  -- it was written to meanwhile
        RETURN;
    END IF;
    CREATE TABLE workout_channels_copy (LIKE workout_channels INCLUDING ALL)
        PARTITION BY HASH (workout_id);
    ALTER TABLE workout_channels_copy ADD CONSTRAINT workout_channels_workout_id_fkey
        FOREIGN KEY (workout_id) REFERENCES workouts ON DELETE CASCADE;
    FOR remainder IN 0..15 LOOP
        EXECUTE format(
            'CREATE TABLE workout_channels_%s PARTITION OF workout_channels_copy'
                ' FOR VALUES WITH (MODULUS 16, REMAINDER %s)',
            to_char(remainder, 'FM00'), remainder
        );
    END LOOP;
    -- Whoever may read or write it may go on.
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
    FOREACH each IN ARRAY grants LOOP
        EXECUTE each;
    END LOOP;
END $$;
