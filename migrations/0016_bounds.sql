-- depends: 0013_visible_workouts
-- To count a user's rides at each start of another: those under way, those of the last hour, all.

CREATE INDEX IF NOT EXISTS workouts_under_way ON workouts (user_id)
    WHERE status IN ('ACTIVE', 'PAUSED');
CREATE INDEX IF NOT EXISTS workouts_created ON workouts (user_id, created_at);
DROP INDEX IF EXISTS workouts_user;
