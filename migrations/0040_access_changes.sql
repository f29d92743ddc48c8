-- depends: 0034_streams
-- What may end who may upload where, so that each API process hears of it by one question for all.

-- Of a key; of all keys of a user, without key and workout; or of a workout. "transaction" tells who
-- looked before it was committed, however late that was. Rows go once every process has seen them.
CREATE TABLE IF NOT EXISTS access_changes (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
    made_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    key_id      text,
    workout_id  uuid,
    user_id     uuid NOT NULL
);

CREATE INDEX IF NOT EXISTS access_changes_transaction ON access_changes (transaction);
CREATE INDEX IF NOT EXISTS access_changes_made_at ON access_changes (made_at);
CREATE INDEX IF NOT EXISTS access_changes_user ON access_changes (user_id);

CREATE OR REPLACE FUNCTION note_key_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO access_changes (key_id, user_id) VALUES (OLD.id, OLD.user_id);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION note_user_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO access_changes (user_id) VALUES (OLD.id);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION note_workout_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO access_changes (workout_id, user_id) VALUES (OLD.id, OLD.user_id);
    RETURN NULL;
END $$;

-- Nothing is left of a user; what this transaction itself has to tell of the keys goes some day later.
CREATE OR REPLACE FUNCTION forget_changes_of_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM access_changes
    WHERE user_id = OLD.id AND transaction <> pg_current_xact_id();
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER users_deleted AFTER DELETE ON users FOR EACH ROW
    EXECUTE FUNCTION forget_changes_of_user();

-- That a key was used changes nothing; a deletion of a user deletes the keys.
CREATE OR REPLACE TRIGGER api_keys_changed AFTER UPDATE ON api_keys FOR EACH ROW
    WHEN (
        (OLD.hash, OLD.scopes, OLD.expires_at, OLD.revoked_at)
        IS DISTINCT FROM (NEW.hash, NEW.scopes, NEW.expires_at, NEW.revoked_at)
    )
    EXECUTE FUNCTION note_key_change();

CREATE OR REPLACE TRIGGER api_keys_deleted AFTER DELETE ON api_keys FOR EACH ROW
    EXECUTE FUNCTION note_key_change();

CREATE OR REPLACE TRIGGER users_changed AFTER UPDATE ON users FOR EACH ROW
    WHEN ((OLD.disabled_at, OLD.deleted_at) IS DISTINCT FROM (NEW.disabled_at, NEW.deleted_at))
    EXECUTE FUNCTION note_user_change();

CREATE OR REPLACE TRIGGER workouts_changed AFTER UPDATE OF status, removed_ranges ON workouts
    FOR EACH ROW
    WHEN (
        (OLD.status <> 'DELETED' AND NEW.status = 'DELETED')
        OR OLD.removed_ranges <> NEW.removed_ranges
    )
    EXECUTE FUNCTION note_workout_change();

-- Also where a session leaves out triggers, as those of foreign keys.
ALTER TABLE api_keys ENABLE ALWAYS TRIGGER api_keys_changed;
ALTER TABLE api_keys ENABLE ALWAYS TRIGGER api_keys_deleted;
ALTER TABLE users ENABLE ALWAYS TRIGGER users_changed;
ALTER TABLE workouts ENABLE ALWAYS TRIGGER workouts_changed;
