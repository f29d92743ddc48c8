CREATE INDEX IF NOT EXISTS workouts_search ON workouts USING gin (search);
DROP TRIGGER IF EXISTS workouts_words ON workouts;
ALTER TABLE workouts DROP COLUMN IF EXISTS words;
DROP FUNCTION IF EXISTS fill_words, search_query, search_vector, search_words;
