DROP INDEX IF EXISTS dead_letters_event;
ALTER TABLE dead_letters
    DROP COLUMN IF EXISTS status_before,
    DROP COLUMN IF EXISTS event_id;
