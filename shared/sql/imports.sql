-- name: begin_import
-- The upload whose file is to be read now; also one that failed by a fault of ours, for a replay.
UPDATE uploads SET status = 'processing', updated_at = now()
WHERE id = %(id)s
    AND (status IN ('queued', 'processing') OR (status = 'failed' AND reason = %(fault)s))
RETURNING id, user_id, parent_id, key_id, filename, sha256, on_duplicate, language, created_at, title,
    description, sport

-- name: read_original
-- The stored bytes of a file, or the object that has them; none once the user is deleted.
SELECT compressed, data, object FROM upload_files WHERE upload_id = %(id)s

-- name: lock_upload
-- Let no other worker end the upload; nothing if one has.
SELECT id FROM uploads
WHERE id = %(id)s AND status NOT IN ('done', 'duplicate')
FOR NO KEY UPDATE

-- name: same_bytes
-- A workout that the same bytes have made before, or were found to be, and that is there still.
SELECT workouts.id AS workout_id, earlier.created_at AS sent_at
FROM upload_workouts AS earlier
JOIN workouts ON workouts.id = workout_id AND workouts.status <> 'DELETED'
WHERE earlier.user_id = %(user_id)s AND earlier.sha256 = %(sha256)s
    AND earlier.upload_id <> %(id)s
ORDER BY earlier.created_at, workouts.start_time

-- name: count_workouts_of
-- How many workouts a user has, deleted ones until they are purged.
SELECT count(*) AS workouts FROM workouts WHERE user_id = %(user_id)s

-- name: create_imported
-- A ride out of a file. The rest of the transaction completes it.
INSERT INTO workouts (
    user_id, title, description, sport, start_time, status, completed_at, fold_asked_at, laps,
    pauses, device, upload_id, duplicate_of, excluded, excluded_ranges, vouched_ranges,
    time_zone
) VALUES (
    %(user_id)s, %(title)s, %(description)s, %(sport)s, %(start_time)s, 'PROCESSING', now(), now(),
    %(laps)s, %(pauses)s, %(device)s, %(upload_id)s, %(duplicate_of)s, %(excluded)s,
    %(excluded_ranges)s::int8multirange, %(vouched_ranges)s::int8multirange, %(time_zone)s
)
RETURNING id

-- name: retell
-- What the file says of a ride takes the place of what was known, but for words of the user's.
UPDATE workouts SET
    title = coalesce(title, %(title)s),
    description = coalesce(description, %(description)s),
    laps = CASE WHEN %(replaces)s OR laps = '[]' THEN %(laps)s ELSE laps END,
    pauses = CASE WHEN %(replaces)s OR pauses = '[]' THEN %(pauses)s ELSE pauses END,
    device = CASE WHEN %(replaces)s OR device IS NULL THEN %(device)s ELSE device END,
    sport = CASE WHEN %(replaces)s THEN %(sport)s ELSE sport END,
    time_zone = CASE WHEN %(replaces)s OR time_zone IS NULL THEN %(time_zone)s ELSE time_zone END,
    upload_id = CASE WHEN %(replaces)s OR upload_id IS NULL THEN %(upload_id)s ELSE upload_id END
WHERE id = %(id)s

-- name: end_import
-- What became of the upload.
UPDATE uploads SET
    status = %(status)s, reason = %(reason)s, warnings = %(warnings)s,
    workout_ids = %(workout_ids)s::uuid[], duplicates = %(duplicates)s, updated_at = now()
WHERE id = %(id)s AND status NOT IN ('done', 'duplicate')
RETURNING parent_id

-- name: create_member
-- A file out of a zip, to be imported as if it had been sent alone; or why it cannot be had.
INSERT INTO uploads (
    user_id, parent_id, key_id, filename, size, sha256, on_duplicate, language, status, reason,
    created_at, title, description, sport
) VALUES (
    %(user_id)s, %(parent_id)s, %(key_id)s, %(filename)s, %(size)s, %(sha256)s, %(on_duplicate)s,
    %(language)s, %(status)s, %(reason)s, %(created_at)s, %(title)s, %(description)s, %(sport)s
)
RETURNING id

-- name: keep_original
-- The bytes of a file, or the name of the object that has them.
INSERT INTO upload_files (upload_id, compressed, data, object)
VALUES (%(id)s, %(compressed)s, %(data)b, %(object)s)

-- name: note_original
-- The name of an object, before it is put.
INSERT INTO stored_objects (name) VALUES (%(name)s)

-- name: expire_originals
-- Delete the bytes of files that came longer ago than originals are kept, in a portion; their rows
-- stay, so that the same file is known again. Objects are then found to be of no use.
DELETE FROM upload_files
WHERE upload_id IN (
    SELECT upload_id
    FROM upload_files JOIN uploads ON uploads.id = upload_id
    WHERE status NOT IN ('queued', 'processing')
        AND created_at < now() - make_interval(days => %(days)s)
    ORDER BY created_at
    LIMIT %(most)s
    FOR UPDATE OF upload_files SKIP LOCKED
)
RETURNING upload_id AS id

-- name: lock_unneeded_objects
-- Objects that no file refers to, and that are not just being put; locked, so that none comes into
-- use. One to which an unfinished transaction refers is locked by that.
SELECT name FROM stored_objects
WHERE created_at < now() - make_interval(secs => %(grace)s)
    AND NOT EXISTS (SELECT FROM upload_files WHERE object = name)
ORDER BY created_at
LIMIT 500
FOR UPDATE SKIP LOCKED

-- name: forget_objects
-- Objects that are deleted.
DELETE FROM stored_objects WHERE name = ANY(%(names)s)

-- name: next_imports
-- Files to import, each user's in turn; one that somebody has locked is left for the next time.
UPDATE uploads SET asked_at = now()
WHERE id IN (
    SELECT id FROM uploads
    WHERE status IN ('queued', 'processing') AND id IN (
        SELECT id FROM (
            SELECT id, created_at,
                row_number() OVER (PARTITION BY user_id ORDER BY created_at, id) AS turn
            FROM uploads
            WHERE status IN ('queued', 'processing') AND id <> ALL(%(asked)s)
                AND (
                    asked_at IS NULL
                    OR asked_at < now() - make_interval(secs => %(overdue)s)
                )
        ) AS waiting
        ORDER BY turn, created_at
        LIMIT %(most)s
    )
    FOR NO KEY UPDATE SKIP LOCKED
)
RETURNING id

-- name: purge_archives
-- A zip holds the rides of all its files: its bytes go with the first of them that is purged. Each
-- other file has an original of its own.
DELETE FROM upload_files
WHERE upload_id IN (
    SELECT parent_id FROM upload_workouts
    WHERE user_id IN (SELECT user_id FROM workouts WHERE id = ANY(%(ids)s))
        AND workout_id = ANY(%(ids)s)
)

-- name: purge_uploads
-- Delete the files that hold workouts that are being purged, unless they hold others, too: those
-- that these came out of, and those that were found to be the same rides.
DELETE FROM uploads
WHERE id IN (
    SELECT upload_id FROM upload_workouts
    WHERE user_id IN (SELECT user_id FROM workouts WHERE id = ANY(%(ids)s))
        AND workout_id = ANY(%(ids)s)
) AND NOT EXISTS (
    SELECT FROM upload_workouts AS held
    JOIN workouts ON workouts.id = held.workout_id
    WHERE held.upload_id = uploads.id AND workouts.id <> ALL(%(ids)s)
)

-- name: purge_empty_archives
-- Delete what is left of zips of which nothing is kept any more.
DELETE FROM uploads AS archive
WHERE user_id IN (SELECT user_id FROM workouts WHERE id = ANY(%(ids)s))
    AND parent_id IS NULL AND status = 'done' AND workout_ids = '{}' AND duplicates = '[]'
    AND NOT EXISTS (SELECT FROM uploads WHERE parent_id = archive.id)
    AND NOT EXISTS (SELECT FROM upload_files WHERE upload_id = archive.id)
