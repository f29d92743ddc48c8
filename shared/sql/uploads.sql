-- name: find_unfinished
-- The same bytes, sent for the same end and not imported yet: its client may have lost the answer.
SELECT * FROM shown_uploads
WHERE user_id = %(user_id)s AND sha256 = %(sha256)s AND on_duplicate = %(on_duplicate)s
    AND parent_id IS NULL AND status IN ('queued', 'processing')
ORDER BY created_at
LIMIT 1

-- name: find_made
-- The workouts that the same bytes have made, or were found to be, and that are there still. Of a zip
-- those of its files, if all of them are there.
WITH sent AS (
    SELECT id, id AS upload_id FROM uploads
    WHERE user_id = %(user_id)s AND sha256 = %(sha256)s
), member AS (
    SELECT sent.id, uploads.id AS upload_id FROM sent JOIN uploads ON parent_id = sent.id
), made AS (
    SELECT sent.id, workout_id, created_at, member.id IS NOT NULL AS of_zip
    FROM (SELECT * FROM sent UNION ALL SELECT * FROM member) AS sent
    JOIN upload_workouts USING (upload_id)
    LEFT JOIN member USING (upload_id)
)
SELECT workouts.id AS workout_id
FROM made
JOIN workouts ON workouts.id = workout_id AND workouts.status <> 'DELETED'
WHERE NOT of_zip OR (
    EXISTS (SELECT FROM upload_files WHERE upload_id = made.id)
    AND NOT EXISTS (
        SELECT FROM made AS gone
        LEFT JOIN workouts AS kept ON kept.id = gone.workout_id AND kept.status <> 'DELETED'
        WHERE gone.id = made.id AND kept.id IS NULL
    )
)
ORDER BY made.created_at, workouts.start_time
LIMIT 100

-- name: lock_uploads
-- One file of a user is kept at a time, so that all that are kept are counted.
SELECT pg_advisory_xact_lock(hashtextextended(%(user_id)s::text, 7496055))

-- name: count_kept
-- How many files are kept of a user, and how many bytes as they were sent.
SELECT count(*) AS files, coalesce(sum(size), 0)::bigint AS bytes
FROM uploads
JOIN upload_files ON upload_id = uploads.id
WHERE user_id = %(user_id)s

-- name: create_upload
-- A file that was sent. Its row asks for the import; the event that follows makes it prompt.
WITH created AS (
    INSERT INTO uploads (
        user_id, key_id, filename, size, sha256, on_duplicate, language, title, description, sport
    ) VALUES (
        %(user_id)s, %(key_id)s, %(filename)s, %(size)s, %(sha256)s, %(on_duplicate)s,
        %(language)s, %(title)s, %(description)s, %(sport)s
    )
    RETURNING *
)
SELECT *, NULL AS members FROM created

-- name: keep_file
-- The bytes of a file, or the name of the object that has them.
INSERT INTO upload_files (upload_id, compressed, data, object)
VALUES (%(id)s, %(compressed)s, %(data)b, %(object)s)

-- name: note_object
-- The name of an object, before it is put.
INSERT INTO stored_objects (name) VALUES (%(name)s)

-- name: find_original
-- Where the bytes of a file are: without an object in the row.
SELECT compressed, object
FROM upload_files
JOIN uploads ON uploads.id = upload_id
WHERE upload_id = %(id)s AND user_id = %(user_id)s

-- name: get_upload
-- One of the user's own uploads; for a key that may not read, one that it has sent itself. A zip has
-- the workouts of its files, and the duplicates.
SELECT id, filename, size, sha256, status, on_duplicate, reason, warnings, parent_id, members,
    created_at, updated_at,
    duplicates || coalesce(
        (
            SELECT jsonb_agg(each)
            FROM uploads AS member, jsonb_array_elements(member.duplicates) AS each
            WHERE member.parent_id = shown_uploads.id
        ), '[]'
    ) AS duplicates,
    workout_ids || ARRAY(
        SELECT made
        FROM uploads AS member, unnest(member.workout_ids) AS made
        WHERE member.parent_id = shown_uploads.id
    ) AS workout_ids
FROM shown_uploads
WHERE id = %(id)s AND user_id = %(user_id)s
    AND (%(key_id)s::text IS NULL OR key_id = %(key_id)s)

-- name: get_uploads
-- Of the given uploads those that are there and the user's.
SELECT * FROM shown_uploads WHERE id = ANY(%(ids)s) AND user_id = %(user_id)s

-- name: list_uploads
-- The user's uploads without those out of zips, or those out of one; newest first, from a place on.
SELECT * FROM shown_uploads
WHERE user_id = %(user_id)s AND parent_id IS NOT DISTINCT FROM %(parent_id)s::uuid
    AND (%(status)s::text IS NULL OR status = %(status)s)
    AND (
        %(after_id)s::uuid IS NULL
        OR (created_at, id) < (%(after_time)s::timestamptz, %(after_id)s)
    )
ORDER BY created_at DESC, id DESC
LIMIT %(limit)s

-- name: list_same_bytes
-- Uploads of the same bytes, alone or in a zip, the newest first; not those of which no workout is
-- left, so that a ride that was deleted may be sent again.
SELECT * FROM shown_uploads
WHERE user_id = %(user_id)s AND sha256 = %(sha256)s
    AND (
        status NOT IN ('done', 'duplicate') OR members IS NOT NULL OR EXISTS (
            SELECT FROM visible_workouts
            WHERE id = ANY(shown_uploads.workout_ids || ARRAY(
                SELECT (each ->> 'workoutId')::uuid
                FROM jsonb_array_elements(shown_uploads.duplicates) AS each
            ))
        )
    )
ORDER BY created_at DESC, id DESC
LIMIT %(limit)s

-- name: read_piece
-- A piece of an original, as it is stored; nothing beyond its end.
SELECT substring(data FROM %(start)s::int FOR %(count)s::int) AS data
FROM upload_files
JOIN uploads ON uploads.id = upload_id
WHERE upload_id = %(id)s AND user_id = %(user_id)s

-- name: list_upload_ids
-- Every upload of the user, newest first; those out of a zip, too.
SELECT id FROM uploads WHERE user_id = %(user_id)s ORDER BY created_at DESC, id DESC

-- name: get_sent_files
-- Of the given uploads those of the user, in the same order, each with the name of its original in
-- an export. Without one is what has no bytes, and what would bring a deleted ride along: a file of
-- nothing else, and a zip with one, whose other files have originals of their own.
SELECT shown_uploads.id, filename, size, sha256, status, on_duplicate, reason, warnings, workout_ids,
    duplicates, parent_id, members, created_at, updated_at,
    CASE WHEN
        EXISTS (SELECT FROM upload_files WHERE upload_id = shown_uploads.id)
        AND (there = made OR (there > 0 AND members IS NULL))
    THEN
        'originals/' || to_char(created_at AT TIME ZONE %(time_zone)s, 'YYYY-MM-DD') || '-'
        || shown_uploads.id || coalesce(
            substring(
                regexp_replace(
                    lower(filename), CASE WHEN parent_id IS NULL THEN '$' ELSE '(\.gz)?$' END, ''
                ) FROM '\.(?:fit|tcx|gpx|csv|json|zip)(?:\.gz)?$'
            ), ''
        )
    END AS file
FROM shown_uploads, LATERAL (
    SELECT count(DISTINCT workout_id) AS made, count(DISTINCT visible_workouts.id) AS there
    FROM upload_workouts AS of_it
    LEFT JOIN visible_workouts ON visible_workouts.id = workout_id
    WHERE of_it.upload_id = shown_uploads.id OR of_it.parent_id = shown_uploads.id
) AS rides
WHERE shown_uploads.id = ANY(%(ids)s) AND user_id = %(user_id)s
ORDER BY array_position(%(ids)s::uuid[], shown_uploads.id)
