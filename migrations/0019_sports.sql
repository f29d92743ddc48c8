-- depends: 0018_completing_key
-- transactional: false
-- Records, curves and thresholds of one sport each, so that no run or e-bike is a record of cycling.
--
-- Each statement is a transaction of its own and may be repeated: no lock is held while rows are
-- read, and API and workers go on. Those of the version before write bests of cycling whatever the
-- sport, and records into `personal_records`, which nothing reads any more; `make recompute`, which
-- every ride needs once, puts right what they wrote meanwhile. A later migration drops that table.

ALTER TABLE workout_bests ADD COLUMN IF NOT EXISTS sport text NOT NULL DEFAULT 'cycling';
ALTER TABLE workout_curves ADD COLUMN IF NOT EXISTS sport text NOT NULL DEFAULT 'cycling';

CREATE TABLE IF NOT EXISTS sport_records (
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    sport      text NOT NULL,
    metric     text NOT NULL,
    duration   integer NOT NULL CHECK (duration > 0),
    value      double precision NOT NULL CHECK (value >= 0 AND value < 'Infinity'),
    workout_id uuid NOT NULL REFERENCES workouts ON DELETE CASCADE,
    started_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, sport, metric, duration)
);
CREATE INDEX IF NOT EXISTS sport_records_workout ON sport_records (workout_id);

-- What the athlete gave for sports other than cycling. Figures of cycling and of the body (weight,
-- maximum heart rate) stay in athlete_thresholds, whose key the version before relies on.
CREATE TABLE IF NOT EXISTS other_thresholds (
    user_id              uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    sport                text NOT NULL CHECK (sport <> 'cycling'),
    effective_from       date NOT NULL,
    ftp                  double precision CHECK (ftp > 0 AND ftp < 'Infinity'),
    critical_power       double precision CHECK (critical_power > 0 AND critical_power < 'Infinity'),
    w_prime              double precision CHECK (w_prime > 0 AND w_prime < 'Infinity'),
    threshold_heartrate  double precision
        CHECK (threshold_heartrate > 0 AND threshold_heartrate < 'Infinity'),
    source               text,
    created_at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, sport, effective_from)
);

-- Every day on which the athlete gave figures, sport by sport, with the body's of that day.
CREATE OR REPLACE VIEW dated_thresholds AS
SELECT user_id, 'cycling' AS sport, effective_from, ftp, critical_power, w_prime,
    threshold_heartrate, max_heartrate, weight, source
FROM athlete_thresholds
UNION ALL
SELECT user_id, sport, effective_from, own.ftp, own.critical_power, own.w_prime,
    own.threshold_heartrate, body.max_heartrate, body.weight, own.source
FROM other_thresholds AS own
LEFT JOIN athlete_thresholds AS body USING (user_id, effective_from);

-- The names that riders use most; a ride of a rarer one gets its sport when it is computed anew.
CREATE OR REPLACE VIEW other_sports AS
SELECT id AS workout_id, CASE
    WHEN name ~ '^(e(?!nduro)|electric).*(bik|bicycl|cycl|ride|mtb)|pedelec' THEN 'e-bike'
    WHEN name ~ 'hand(cycl|bik)' THEN 'handcycling'
    WHEN name ~ 'ski$|skiing' THEN
        CASE WHEN name ~ 'alpine|downhill|resort' THEN 'alpine-skiing' ELSE 'nordic-skiing' END
    WHEN name ~ 'walk|hik|trekking' THEN 'walking'
    WHEN name ~ 'run|jog|treadmill|marathon|^trail$' THEN 'running'
    WHEN name ~ 'swim' THEN 'swimming'
    WHEN name ~ 'row(ing|er)?$|^row|^rowing' THEN 'rowing'
    WHEN name ~ 'cycl|bik|ride|mtb|bmx|cyclocross|road|gravel|track|spin'
        OR name IN ('mountain', 'indoor', 'virtual') THEN 'cycling'
    ELSE name
END AS sport
FROM (
    SELECT id, lower(translate(sport, '-_', '')) AS name FROM workouts WHERE sport <> 'cycling'
) AS named;

UPDATE workout_bests AS best SET sport = other.sport
FROM other_sports AS other
WHERE other.workout_id = best.workout_id AND other.sport <> best.sport;

UPDATE workout_curves AS curve SET sport = other.sport
FROM other_sports AS other
WHERE other.workout_id = curve.workout_id AND other.sport <> curve.sport;

DROP VIEW other_sports;

-- Half an index, of an attempt that was cut off, would never be used.
DROP INDEX CONCURRENTLY IF EXISTS workout_bests_by_sport;
CREATE INDEX CONCURRENTLY workout_bests_by_sport
    ON workout_bests (user_id, sport, metric, duration, value DESC);
DROP INDEX CONCURRENTLY IF EXISTS workout_bests_rank;

INSERT INTO sport_records (user_id, sport, metric, duration, value, workout_id, started_at)
SELECT DISTINCT ON (user_id, sport, metric, duration)
    user_id, sport, metric, duration, value, workout_id, started_at
FROM workout_bests
ORDER BY user_id, sport, metric, duration, value DESC, started_at
ON CONFLICT DO NOTHING;
