-- name: find_fed
-- The ride that a user's stream feeds: one under way, or one that was ended because it was silent.
SELECT id FROM workouts
WHERE user_id = %(user_id)s AND stream_name = %(name)s AND stream_name <> ''
    AND status <> 'DELETED'
    AND (status IN ('ACTIVE', 'PAUSED') OR completed_by IS NULL)
ORDER BY created_at DESC
LIMIT 1

-- name: count_rides
-- How many rides the user has completed, and how long they took in all.
SELECT count(*) AS total_workouts, coalesce(sum(duration), 0)::int8 AS total_duration
FROM workouts
WHERE user_id = %(user_id)s AND status IN ('COMPLETED', 'ARCHIVED')

-- name: note_ftp
-- An FTP that a client has set; of each user the newest thousand are kept.
WITH kept AS (
    SELECT created_at FROM ftp_changes
    WHERE user_id = %(user_id)s
    ORDER BY created_at DESC
    LIMIT 1 OFFSET 998
), forgotten AS (
    DELETE FROM ftp_changes
    WHERE user_id = %(user_id)s AND created_at < (SELECT created_at FROM kept)
)
INSERT INTO ftp_changes (user_id, effective_from, ftp, source)
VALUES (%(user_id)s, %(effective_from)s, %(ftp)s, %(source)s)

-- name: list_ftp
-- The FTP of cycling as it was given, by clients at a moment and by us for a day: of a day, what was
-- given for it last is told once. Newest first.
SELECT id, user_id, ftp, source, created_at FROM ftp_changes WHERE user_id = %(user_id)s
UNION ALL
SELECT
    md5(user_id::text || effective_from)::uuid, user_id, ftp, source,
    effective_from::timestamp AT TIME ZONE %(time_zone)s
FROM athlete_thresholds AS given
WHERE user_id = %(user_id)s AND ftp IS NOT NULL AND NOT EXISTS (
    SELECT FROM ftp_changes
    WHERE ftp_changes.user_id = given.user_id
        AND ftp_changes.effective_from = given.effective_from AND ftp_changes.ftp = given.ftp
)
ORDER BY created_at DESC, id
LIMIT 1000
