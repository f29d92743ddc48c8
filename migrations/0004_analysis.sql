-- depends: 0003_records
-- Recomputation, exclusion from records, and power curves.

-- stale: the figures no longer follow from samples, definitions or the rider's figures; the row
-- itself asks for its fold, so that nothing need remember what is still to do.
ALTER TABLE workouts
    ADD COLUMN IF NOT EXISTS stale boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS excluded boolean NOT NULL DEFAULT false,
    ADD COLUMN IF NOT EXISTS excluded_ranges int8multirange NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS training_stress_score double precision
        GENERATED ALWAYS AS ((summary ->> 'trainingStressScore')::double precision) STORED,
    ADD COLUMN IF NOT EXISTS total_elevation_gain double precision
        GENERATED ALWAYS AS ((summary ->> 'totalElevationGain')::double precision) STORED,
    ADD COLUMN IF NOT EXISTS recorded_time double precision
        GENERATED ALWAYS AS ((summary ->> 'recordedTime')::double precision) STORED;

CREATE INDEX IF NOT EXISTS workouts_stale ON workouts (fold_asked_at) WHERE stale;
CREATE INDEX IF NOT EXISTS workouts_stale_user ON workouts (user_id) WHERE stale;

CREATE TABLE IF NOT EXISTS workout_curves (
    workout_id uuid PRIMARY KEY REFERENCES workouts ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    ridden_at  timestamptz NOT NULL,
    durations  integer[] NOT NULL,
    watts      double precision[] NOT NULL,
    CHECK (cardinality(durations) = cardinality(watts))
);

CREATE INDEX IF NOT EXISTS workout_curves_user ON workout_curves (user_id, ridden_at);

-- What was completed before has none of the new figures yet.
UPDATE workouts SET stale = true WHERE summary IS NOT NULL;
