-- depends: 0027_results_of_zips
-- Links by which riders show rides to others, and the places that they never show.

CREATE TABLE IF NOT EXISTS shares (
    id               uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id          uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    workout_id       uuid NOT NULL REFERENCES workouts ON DELETE CASCADE,
    hash             bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    hide_metres      int NOT NULL CHECK (hide_metres BETWEEN 0 AND 5000),
    hide_places      boolean NOT NULL,
    with_description boolean NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    expires_at       timestamptz NOT NULL,
    revoked_at       timestamptz
);

CREATE INDEX IF NOT EXISTS shares_list ON shares (user_id, created_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS shares_workout ON shares (workout_id);

-- places: [{"name", "lat", "lng", "radius"}]. salt: by which the middle of what is hidden is moved
-- away from what it hides; as long as it stays the same, many rides tell no more than one.
CREATE TABLE IF NOT EXISTS hidden_places (
    user_id uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    salt    bytea NOT NULL CHECK (length(salt) = 32),
    places  jsonb NOT NULL DEFAULT '[]'
);

-- Links that still open something: of users and workouts that are there.
CREATE OR REPLACE VIEW open_shares AS
SELECT
    shares.id, shares.user_id, shares.workout_id, shares.hash, shares.hide_metres,
    shares.hide_places, shares.with_description, shares.created_at, shares.expires_at
FROM shares
JOIN active_users ON active_users.id = shares.user_id
JOIN visible_workouts ON visible_workouts.id = shares.workout_id
WHERE shares.expires_at > now() AND shares.revoked_at IS NULL;
