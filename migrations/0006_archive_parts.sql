-- depends: 0005_dead_letters
-- The archive in parts of four hours, so that a checkpoint of a long ride rewrites the last of them
-- and not the whole ride. Part 0 is what was archived before: a whole ride, split by its next fold.

ALTER TABLE workout_channels ADD COLUMN IF NOT EXISTS part integer NOT NULL DEFAULT 0;

ALTER TABLE workout_channels
    DROP CONSTRAINT IF EXISTS workout_channels_pkey,
    ADD CONSTRAINT workout_channels_pkey PRIMARY KEY (workout_id, part, channel);
