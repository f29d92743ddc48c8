-- depends: 0009_accounts
-- What the list of workouts is sorted by, or has ranges of. Among equals, and among those without a
-- figure, the start decides; read forwards or backwards, one index is both orders.
--
-- A checkpoint changes these figures: its update of the row can no longer be HOT, and writes some
-- 3 KB more of log, every ten minutes of a ride.

CREATE INDEX IF NOT EXISTS workouts_by_avg_power
    ON workouts (user_id, avg_power, start_time, id) WHERE status <> 'DELETED';
CREATE INDEX IF NOT EXISTS workouts_by_normalized_power
    ON workouts (user_id, normalized_power, start_time, id) WHERE status <> 'DELETED';
CREATE INDEX IF NOT EXISTS workouts_by_total_energy
    ON workouts (user_id, total_energy, start_time, id) WHERE status <> 'DELETED';
CREATE INDEX IF NOT EXISTS workouts_by_duration
    ON workouts (user_id, duration, start_time, id) WHERE status <> 'DELETED';
CREATE INDEX IF NOT EXISTS workouts_by_sport
    ON workouts (user_id, sport, start_time, id) WHERE status <> 'DELETED';
CREATE INDEX IF NOT EXISTS workouts_by_status
    ON workouts (user_id, status, start_time, id) WHERE status <> 'DELETED';
