DROP TABLE IF EXISTS idempotency_keys;
ALTER TABLE workouts DROP COLUMN IF EXISTS started_with;
