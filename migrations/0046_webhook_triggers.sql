-- depends: 0045_changes
-- Whoever changes a ride or an upload, the transaction itself tells the webhooks and notes the change.

-- expand-only: the table is new
CREATE INDEX IF NOT EXISTS webhook_deliveries_turn ON webhook_deliveries (webhook_id, due_at, id)
    WHERE status = 'waiting';
-- expand-only: the table is new
CREATE INDEX IF NOT EXISTS webhook_deliveries_age ON webhook_deliveries (created_at);

-- As the API writes moments.
CREATE OR REPLACE FUNCTION webhook_moment(moment timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS')
        || CASE WHEN to_char(moment, 'US') <> '000000' THEN to_char(moment, '.US') ELSE '' END || 'Z'
$$;

CREATE OR REPLACE FUNCTION webhook_ranges(ranges int8multirange) RETURNS jsonb LANGUAGE sql
STABLE AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('from', lower(each), 'to', upper(each))), '[]')
    FROM unnest(ranges) AS each
$$;

-- Laps or pauses, without those that lie in what is cropped away.
CREATE OR REPLACE FUNCTION webhook_uncropped(marked jsonb, crop int8range) RETURNS jsonb LANGUAGE sql
STABLE AS $$
    SELECT CASE WHEN crop IS NULL THEN marked ELSE (
        SELECT coalesce(jsonb_agg(each ORDER BY place), '[]')
        FROM jsonb_array_elements(marked) WITH ORDINALITY AS listed (each, place)
        WHERE (lower(crop) IS NULL OR (each ->> 'end')::bigint > lower(crop))
            AND (upper(crop) IS NULL OR coalesce((each ->> 'start')::bigint, 0) < upper(crop))
    ) END
$$;

-- A ride as `GET /api/workouts/{id}` answers it. By its id: a row as argument would tie the table to the
-- function, and no backup could take its place.
CREATE OR REPLACE FUNCTION webhook_workout(which uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'id', workout.id,
        'userId', workout.user_id,
        'streamName', CASE
            WHEN workout.stream_name IS NULL THEN '{w:' || workout.id || '}:samples'
            ELSE nullif(workout.stream_name, '')
        END,
        'title', workout.title,
        'description', workout.description,
        'sport', workout.sport,
        'status', workout.status,
        'startTime', webhook_moment(workout.start_time),
        'endTime', webhook_moment(workout.end_time),
        'duration', workout.duration,
        'summary', workout.summary,
        'excluded', workout.excluded,
        'excludedRanges', webhook_ranges(workout.excluded_ranges),
        'vouchedRanges', webhook_ranges(workout.vouched_ranges),
        'removedRanges', webhook_ranges(workout.removed_ranges),
        'crop', CASE WHEN workout.crop IS NOT NULL THEN
            jsonb_build_object('from', lower(workout.crop), 'to', upper(workout.crop))
        END,
        'createdAt', webhook_moment(workout.created_at),
        'updatedAt', webhook_moment(workout.updated_at),
        'uploadId', workout.upload_id,
        'duplicateOf', workout.duplicate_of,
        'timeZone', workout.time_zone,
        'device', workout.device,
        'laps', webhook_uncropped(workout.laps, workout.crop),
        'pauses', webhook_uncropped(workout.pauses, workout.crop)
    ) || CASE WHEN workout.samples_deleted_at IS NULL THEN '{}'::jsonb ELSE
        jsonb_build_object('samplesDeletedAt', webhook_moment(workout.samples_deleted_at))
    END
    FROM workouts AS workout
    WHERE workout.id = which
$$;

-- An upload that failed as `GET /api/uploads/{upload}` answers it: it has no files of its own.
CREATE OR REPLACE FUNCTION webhook_upload(which uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'id', upload.id,
        'filename', upload.filename,
        'size', upload.size,
        'sha256', encode(upload.sha256, 'hex'),
        'status', upload.status,
        'onDuplicate', upload.on_duplicate,
        'reason', upload.reason,
        'warnings', to_jsonb(upload.warnings),
        'workoutIds', to_jsonb(upload.workout_ids),
        'duplicates', upload.duplicates,
        'parentId', upload.parent_id,
        'members', NULL,
        'createdAt', webhook_moment(upload.created_at),
        'updatedAt', webhook_moment(upload.updated_at),
        'duplicateOf', upload.duplicates -> 0 -> 'workoutId'
    )
    FROM uploads AS upload
    WHERE upload.id = which
$$;

CREATE OR REPLACE FUNCTION is_webhook_for(rider uuid, told text) RETURNS boolean LANGUAGE sql
STABLE AS $$
    SELECT EXISTS (
        SELECT FROM webhooks
        WHERE user_id = rider AND disabled_at IS NULL AND told = ANY(events)
    )
$$;

-- A message for each webhook that wants it, the same for all. It is due no sooner than the first that
-- waits of its subject, which comes first.
CREATE OR REPLACE FUNCTION tell_webhooks(rider uuid, told text, subject uuid, about jsonb)
RETURNS void LANGUAGE sql AS $$
    WITH message AS MATERIALIZED (
        SELECT 'msg_' || replace(gen_random_uuid()::text, '-', '') AS id, jsonb_build_object(
            'type', told, 'timestamp', webhook_moment(clock_timestamp()), 'data', about
        ) AS payload
    )
    INSERT INTO webhook_deliveries (webhook_id, message_id, event, subject_id, payload, due_at)
    SELECT webhooks.id, message.id, told, subject, message.payload, greatest(
        now(),
        (
            SELECT due_at FROM webhook_deliveries AS earliest
            WHERE earliest.webhook_id = webhooks.id AND earliest.subject_id = subject
                AND earliest.status = 'waiting'
            ORDER BY earliest.id
            LIMIT 1
        )
    )
    FROM webhooks, message
    WHERE user_id = rider AND disabled_at IS NULL AND told = ANY(events)
$$;

-- Of several updates by one transaction the last is told: nobody has seen the others.
CREATE OR REPLACE FUNCTION tell_of_workout() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    told text := TG_ARGV[0];
BEGIN
    IF NOT is_webhook_for(NEW.user_id, told) THEN
        RETURN NULL;
    END IF;
    IF told = 'workout.deleted' THEN
        PERFORM tell_webhooks(
            NEW.user_id, told, NEW.id, jsonb_build_object('id', NEW.id, 'userId', NEW.user_id)
        );
        RETURN NULL;
    END IF;
    IF told = 'workout.updated' THEN
        DELETE FROM webhook_deliveries AS earlier
        USING webhooks
        WHERE webhooks.user_id = NEW.user_id AND webhook_id = webhooks.id
            AND subject_id = NEW.id AND event = told AND status = 'waiting'
            AND earlier.xmin = pg_current_xact_id()::xid;
    END IF;
    PERFORM tell_webhooks(NEW.user_id, told, NEW.id, webhook_workout(NEW.id));
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION tell_of_upload() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF is_webhook_for(NEW.user_id, 'upload.failed') THEN
        PERFORM tell_webhooks(NEW.user_id, 'upload.failed', NEW.id, webhook_upload(NEW.id));
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER workouts_told_completed AFTER UPDATE OF status ON workouts FOR EACH ROW
    WHEN (OLD.status = 'PROCESSING' AND NEW.status = 'COMPLETED')
    EXECUTE FUNCTION tell_of_workout('workout.completed');

CREATE OR REPLACE TRIGGER workouts_told_deleted AFTER UPDATE OF status ON workouts FOR EACH ROW
    WHEN (OLD.status <> 'DELETED' AND NEW.status = 'DELETED')
    EXECUTE FUNCTION tell_of_workout('workout.deleted');

-- What a rider sees of a ride that was completed; of one under way it changes all the time.
CREATE OR REPLACE TRIGGER workouts_told_updated AFTER UPDATE OF
    stream_name, title, description, sport, status, start_time, end_time, duration, summary, excluded,
    excluded_ranges, vouched_ranges, removed_ranges, crop, laps, pauses, device, upload_id,
    duplicate_of, time_zone, samples_deleted_at
ON workouts FOR EACH ROW
    WHEN (
        (
            (OLD.status IN ('COMPLETED', 'ARCHIVED')
                AND NEW.status IN ('COMPLETED', 'ARCHIVED', 'FAILED'))
            OR (OLD.status = 'FAILED' AND NEW.status IN ('COMPLETED', 'ARCHIVED'))
        )
        AND (
            OLD.stream_name, OLD.title, OLD.description, OLD.sport, OLD.status, OLD.start_time,
            OLD.end_time, OLD.duration, OLD.summary, OLD.excluded, OLD.excluded_ranges,
            OLD.vouched_ranges, OLD.removed_ranges, OLD.crop, OLD.laps, OLD.pauses, OLD.device,
            OLD.upload_id, OLD.duplicate_of, OLD.time_zone, OLD.samples_deleted_at
        ) IS DISTINCT FROM (
            NEW.stream_name, NEW.title, NEW.description, NEW.sport, NEW.status, NEW.start_time,
            NEW.end_time, NEW.duration, NEW.summary, NEW.excluded, NEW.excluded_ranges,
            NEW.vouched_ranges, NEW.removed_ranges, NEW.crop, NEW.laps, NEW.pauses, NEW.device,
            NEW.upload_id, NEW.duplicate_of, NEW.time_zone, NEW.samples_deleted_at
        )
    )
    EXECUTE FUNCTION tell_of_workout('workout.updated');

CREATE OR REPLACE TRIGGER uploads_told_failed AFTER UPDATE OF status ON uploads FOR EACH ROW
    WHEN (OLD.status <> 'failed' AND NEW.status = 'failed')
    EXECUTE FUNCTION tell_of_upload();

CREATE OR REPLACE TRIGGER uploads_told_refused AFTER INSERT ON uploads FOR EACH ROW
    WHEN (NEW.status = 'failed')
    EXECUTE FUNCTION tell_of_upload();

-- What has changed of a user comes last in the order of changes; nothing is noted of a deleted one.
CREATE OR REPLACE FUNCTION note_change(rider uuid, what text, which text, is_deleted boolean)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO changes (user_id, kind, subject, deleted)
    SELECT users.id, what, which, is_deleted
    FROM users
    WHERE users.id = rider AND deleted_at IS NULL
    ON CONFLICT (user_id, kind, subject) DO UPDATE SET
        id = DEFAULT, transaction = pg_current_xact_id(), changed_at = clock_timestamp(),
        deleted = excluded.deleted
$$;

CREATE OR REPLACE FUNCTION note_change_of_workout() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_change(NEW.user_id, 'workout', NEW.id::text, NEW.status = 'DELETED');
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER workouts_noted_new AFTER INSERT ON workouts FOR EACH ROW
    EXECUTE FUNCTION note_change_of_workout();

-- Every change that is one for a reader is one of updated_at, but for those named.
CREATE OR REPLACE TRIGGER workouts_noted AFTER UPDATE OF
    updated_at, status, sport, title, description, excluded, excluded_ranges, vouched_ranges,
    duplicate_of, laps, pauses, device, time_zone
ON workouts FOR EACH ROW
    WHEN (
        (
            OLD.updated_at, OLD.status, OLD.sport, OLD.title, OLD.description, OLD.excluded,
            OLD.excluded_ranges, OLD.vouched_ranges, OLD.duplicate_of, OLD.laps, OLD.pauses,
            OLD.device, OLD.time_zone
        ) IS DISTINCT FROM (
            NEW.updated_at, NEW.status, NEW.sport, NEW.title, NEW.description, NEW.excluded,
            NEW.excluded_ranges, NEW.vouched_ranges, NEW.duplicate_of, NEW.laps, NEW.pauses,
            NEW.device, NEW.time_zone
        )
    )
    EXECUTE FUNCTION note_change_of_workout();

-- With a file of a zip the zip changes, too, once it has come to something.
CREATE OR REPLACE FUNCTION note_change_of_upload() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    upload uploads := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    PERFORM note_change(upload.user_id, 'upload', upload.id::text, TG_OP = 'DELETE');
    IF TG_OP = 'UPDATE' AND upload.parent_id IS NOT NULL AND upload.status <> 'processing' THEN
        PERFORM note_change(upload.user_id, 'upload', upload.parent_id::text, false);
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER uploads_noted AFTER UPDATE ON uploads FOR EACH ROW
    WHEN ((OLD.status, OLD.updated_at) IS DISTINCT FROM (NEW.status, NEW.updated_at))
    EXECUTE FUNCTION note_change_of_upload();

CREATE OR REPLACE TRIGGER uploads_noted_too AFTER INSERT OR DELETE ON uploads FOR EACH ROW
    EXECUTE FUNCTION note_change_of_upload();

-- Of a table's rows all are one thing to a reader: the user's list of them.
CREATE OR REPLACE FUNCTION note_change_of_list() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    rider uuid := CASE TG_OP WHEN 'DELETE' THEN OLD.user_id ELSE NEW.user_id END;
BEGIN
    PERFORM note_change(rider, TG_ARGV[0], rider::text, false);
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER athlete_thresholds_noted AFTER INSERT OR UPDATE OR DELETE
    ON athlete_thresholds FOR EACH ROW EXECUTE FUNCTION note_change_of_list('thresholds');

CREATE OR REPLACE TRIGGER other_thresholds_noted AFTER INSERT OR UPDATE OR DELETE
    ON other_thresholds FOR EACH ROW EXECUTE FUNCTION note_change_of_list('thresholds');

CREATE OR REPLACE TRIGGER hidden_places_noted AFTER INSERT OR UPDATE OR DELETE
    ON hidden_places FOR EACH ROW EXECUTE FUNCTION note_change_of_list('places');

CREATE OR REPLACE FUNCTION note_change_of_share() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    share shares := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    PERFORM note_change(
        share.user_id, 'share', share.id::text, TG_OP = 'DELETE' OR share.revoked_at IS NOT NULL
    );
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER shares_noted AFTER INSERT OR UPDATE OR DELETE ON shares FOR EACH ROW
    EXECUTE FUNCTION note_change_of_share();

CREATE OR REPLACE FUNCTION note_change_of_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_change(NEW.id, 'profile', NEW.id::text, false);
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER users_noted AFTER UPDATE OF email, display_name, avatar_url, settings
ON users FOR EACH ROW
    WHEN (
        (OLD.email, OLD.display_name, OLD.avatar_url, OLD.settings)
        IS DISTINCT FROM (NEW.email, NEW.display_name, NEW.avatar_url, NEW.settings)
    )
    EXECUTE FUNCTION note_change_of_user();

-- The records of a sport are one thing, too; a fold writes all that it changes by one statement.
CREATE OR REPLACE FUNCTION note_change_of_records() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_change(user_id, 'record', sport, false)
    FROM (SELECT DISTINCT user_id, sport FROM written ORDER BY user_id, sport) AS lists;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER sport_records_noted_new AFTER INSERT ON sport_records
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT
    EXECUTE FUNCTION note_change_of_records();

CREATE OR REPLACE TRIGGER sport_records_noted AFTER UPDATE ON sport_records
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT
    EXECUTE FUNCTION note_change_of_records();

CREATE OR REPLACE TRIGGER sport_records_noted_gone AFTER DELETE ON sport_records
    REFERENCING OLD TABLE AS written FOR EACH STATEMENT
    EXECUTE FUNCTION note_change_of_records();

-- The webhooks of a user go with the user's row, and meanwhile nothing is delivered to them.
CREATE OR REPLACE FUNCTION forget_log_of_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM changes WHERE user_id = OLD.id;
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER users_log_forgotten AFTER DELETE ON users FOR EACH ROW
    EXECUTE FUNCTION forget_log_of_user();
