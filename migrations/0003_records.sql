-- depends: 0002_workouts
-- The best efforts of each ride, a rider's records among them, and dated figures of the rider.

CREATE TABLE IF NOT EXISTS workout_bests (
    workout_id uuid NOT NULL REFERENCES workouts ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    metric     text NOT NULL,
    duration   integer NOT NULL CHECK (duration > 0),
    value      double precision NOT NULL CHECK (value >= 0 AND value < 'Infinity'),
    started_at timestamptz NOT NULL,
    PRIMARY KEY (workout_id, metric, duration)
);

CREATE INDEX IF NOT EXISTS workout_bests_rank
    ON workout_bests (user_id, metric, duration, value DESC);

-- PostgreSQL orders NaN above every number: unchecked, one NaN would be a record for ever.
CREATE TABLE IF NOT EXISTS personal_records (
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    metric     text NOT NULL,
    duration   integer NOT NULL CHECK (duration > 0),
    value      double precision NOT NULL CHECK (value >= 0 AND value < 'Infinity'),
    workout_id uuid NOT NULL REFERENCES workouts ON DELETE CASCADE,
    started_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, metric, duration)
);

CREATE INDEX IF NOT EXISTS personal_records_workout ON personal_records (workout_id);

CREATE TABLE IF NOT EXISTS athlete_thresholds (
    user_id              uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    effective_from       date NOT NULL,
    ftp                  double precision CHECK (ftp > 0 AND ftp < 'Infinity'),
    critical_power       double precision CHECK (critical_power > 0 AND critical_power < 'Infinity'),
    w_prime              double precision CHECK (w_prime > 0 AND w_prime < 'Infinity'),
    threshold_heartrate  double precision
        CHECK (threshold_heartrate > 0 AND threshold_heartrate < 'Infinity'),
    max_heartrate        double precision CHECK (max_heartrate > 0 AND max_heartrate < 'Infinity'),
    weight               double precision CHECK (weight > 0 AND weight < 'Infinity'),
    source               text,
    created_at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, effective_from)
);
