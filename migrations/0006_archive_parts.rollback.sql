-- Refused, by the primary key, for as long as any ride is archived in more than one part: the
-- version before would see one of them.
ALTER TABLE workout_channels
    DROP CONSTRAINT IF EXISTS workout_channels_pkey,
    ADD CONSTRAINT workout_channels_pkey PRIMARY KEY (workout_id, channel);

ALTER TABLE workout_channels DROP COLUMN IF EXISTS part;
