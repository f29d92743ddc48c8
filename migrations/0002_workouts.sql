-- depends: 0001_users_and_keys
-- Rides, their archived samples, and the events that could not be handled.

DO $$ BEGIN
    CREATE TYPE workout_status AS ENUM (
        'ACTIVE', 'PAUSED', 'PROCESSING', 'COMPLETED', 'ARCHIVED', 'DELETED', 'FAILED'
    );
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;

-- What is sorted or filtered on is generated from the summary, so the two cannot disagree.
CREATE TABLE IF NOT EXISTS workouts (
    id               uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id          uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    stream_name      text,
    title            text,
    description      text,
    sport            text NOT NULL DEFAULT 'cycling',
    start_time       timestamptz NOT NULL DEFAULT now(),
    end_time         timestamptz,
    duration         integer CHECK (duration >= 0),
    status           workout_status NOT NULL DEFAULT 'ACTIVE',
    summary          jsonb,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    completed_at     timestamptz,
    deleted_at       timestamptz,
    fold_asked_at    timestamptz,
    last_received_at timestamptz NOT NULL DEFAULT now(),
    avg_power double precision
        GENERATED ALWAYS AS ((summary ->> 'avgPower')::double precision) STORED,
    normalized_power double precision
        GENERATED ALWAYS AS ((summary ->> 'normalizedPower')::double precision) STORED,
    total_energy double precision
        GENERATED ALWAYS AS ((summary ->> 'totalEnergy')::double precision) STORED,
    total_distance double precision
        GENERATED ALWAYS AS ((summary ->> 'totalDistance')::double precision) STORED,
    search tsvector
        GENERATED ALWAYS AS (
            to_tsvector('simple', coalesce(title, '') || ' ' || coalesce(description, ''))
        ) STORED
);

CREATE INDEX IF NOT EXISTS workouts_history ON workouts (user_id, start_time DESC, id DESC)
    WHERE status <> 'DELETED';
CREATE INDEX IF NOT EXISTS workouts_search ON workouts USING gin (search);
CREATE INDEX IF NOT EXISTS workouts_unfinished ON workouts (status, fold_asked_at)
    WHERE status IN ('ACTIVE', 'PAUSED', 'PROCESSING');
CREATE INDEX IF NOT EXISTS workouts_deleted ON workouts (deleted_at) WHERE status = 'DELETED';

CREATE TABLE IF NOT EXISTS workout_channels (
    workout_id uuid NOT NULL REFERENCES workouts ON DELETE CASCADE,
    channel    text NOT NULL,
    encoding   text NOT NULL,
    samples    integer NOT NULL CHECK (samples > 0),
    data       bytea NOT NULL,
    PRIMARY KEY (workout_id, channel)
);

-- Already compressed: TOAST should not try again.
ALTER TABLE workout_channels ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE IF NOT EXISTS dead_letters (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workout_id  uuid REFERENCES workouts ON DELETE CASCADE,
    event       jsonb NOT NULL,
    reason      text NOT NULL,
    traceback   text NOT NULL,
    deliveries  integer NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    replayed_at timestamptz
);

CREATE INDEX IF NOT EXISTS dead_letters_waiting ON dead_letters (created_at)
    WHERE replayed_at IS NULL;
CREATE INDEX IF NOT EXISTS dead_letters_workout ON dead_letters (workout_id);
