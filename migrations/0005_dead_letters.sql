-- depends: 0004_analysis
-- What a replay needs: which event it was, and what its workout was before it failed.

ALTER TABLE dead_letters
    ADD COLUMN IF NOT EXISTS event_id text,
    ADD COLUMN IF NOT EXISTS status_before workout_status;

-- Burying again, after a lost reply to a commit, writes no second letter.
CREATE UNIQUE INDEX IF NOT EXISTS dead_letters_event ON dead_letters (event_id);
