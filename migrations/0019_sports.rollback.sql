DELETE FROM personal_records;
INSERT INTO personal_records (user_id, metric, duration, value, workout_id, started_at)
SELECT DISTINCT ON (user_id, metric, duration)
    user_id, metric, duration, value, workout_id, started_at
FROM workout_bests
ORDER BY user_id, metric, duration, value DESC, started_at;
DROP VIEW IF EXISTS other_sports;
DROP VIEW IF EXISTS dated_thresholds;
DROP TABLE IF EXISTS other_thresholds;
DROP TABLE IF EXISTS sport_records;
CREATE INDEX IF NOT EXISTS workout_bests_rank
    ON workout_bests (user_id, metric, duration, value DESC);
DROP INDEX IF EXISTS workout_bests_by_sport;
ALTER TABLE workout_curves DROP COLUMN IF EXISTS sport;
ALTER TABLE workout_bests DROP COLUMN IF EXISTS sport;
