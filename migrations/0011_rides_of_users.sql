-- depends: 0010_search
-- All rides of a user, deleted ones too: without it, each deletion of a user reads every ride.

CREATE INDEX IF NOT EXISTS workouts_user ON workouts (user_id);
