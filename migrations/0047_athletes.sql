-- depends: 0045_changes
-- transactional: false
-- Riders let other accounts read what is theirs, as a coach does.

-- reader_id: whose account had that address when it was offered; null without one, and nobody who
-- registers with it later gets it, as addresses are not verified. email: as the rider wrote it.
CREATE TABLE IF NOT EXISTS athlete_shares (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    reader_id    uuid REFERENCES users ON DELETE SET NULL,
    email        text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    accepted_at  timestamptz,
    last_read_at timestamptz,
    CHECK (reader_id <> user_id)
);

CREATE UNIQUE INDEX IF NOT EXISTS athlete_shares_of_user
    ON athlete_shares (user_id, lower(email));
CREATE INDEX IF NOT EXISTS athlete_shares_of_reader ON athlete_shares (reader_id, user_id);

-- Who reads whose: both have accounts that are active.
CREATE OR REPLACE VIEW open_athlete_shares AS
SELECT athlete_shares.id, user_id, reader_id, accepted_at
FROM athlete_shares
JOIN active_users AS athlete ON athlete.id = user_id
JOIN active_users AS reader ON reader.id = reader_id
WHERE accepted_at IS NOT NULL;

-- One whose making was cut short is invalid.
DROP INDEX CONCURRENTLY IF EXISTS workouts_load;

-- What counts of a rider's days, so that fifty riders' form is read without their rows.
CREATE INDEX CONCURRENTLY IF NOT EXISTS workouts_load
    ON workouts (user_id, start_time DESC, id DESC) INCLUDE (training_stress_score)
    WHERE status IN ('COMPLETED', 'ARCHIVED') AND duplicate_of IS NULL;
