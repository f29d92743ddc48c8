-- name: create_workout
-- A new ride, which starts now unless it says when.
INSERT INTO visible_workouts (user_id, title, description, sport, start_time, stream_name)
VALUES (
    %(user_id)s, %(title)s, %(description)s, %(sport)s,
    coalesce(%(start_time)s::timestamptz, now()), %(stream_name)s
)
RETURNING *

-- name: take_stream
-- A stream feeds one ride at a time: whichever it fed keeps what it has.
UPDATE workouts SET stream_name = '', updated_at = now()
WHERE user_id = %(user_id)s AND stream_name = %(stream_name)s AND stream_name <> ''
    AND status <> 'DELETED'

-- name: get_by_stream
-- The ride under way that a stream feeds.
SELECT * FROM visible_workouts
WHERE user_id = %(user_id)s AND stream_name = %(stream_name)s AND stream_name <> ''
    AND status IN ('ACTIVE', 'PAUSED')

-- name: end_stream
-- No stream feeds the ride any more; of two who say so one is the first.
UPDATE workouts SET stream_name = '', updated_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s AND stream_name <> ''
RETURNING id

-- name: start_workout
-- A new ride under an id that its device has made up; nothing if there is one, whosever it is.
INSERT INTO workouts (id, user_id, title, description, sport, start_time, started_with)
VALUES (
    %(id)s, %(user_id)s, %(title)s, %(description)s, %(sport)s,
    coalesce(%(start_time)s::timestamptz, now()), %(started_with)s
)
ON CONFLICT (id) DO NOTHING

-- name: get_start
-- With what the user's device has started a ride; null if the service has made up its id.
SELECT started_with FROM workouts
WHERE id = %(id)s AND user_id = %(user_id)s AND status <> 'DELETED'

-- name: lock_creation
-- One ride of a user is made at a time, so that all that are made are counted.
SELECT pg_advisory_xact_lock(hashtextextended(%(user_id)s::text, 7496053))

-- name: count_rides
-- How many rides a user has under way and in all, how many were made within an hour (those out of
-- files left out), and after how many seconds those are one less. Deleted ones count until they are
-- purged.
SELECT
    (
        SELECT count(*) FROM workouts
        WHERE user_id = %(user_id)s AND status IN ('ACTIVE', 'PAUSED')
    ) AS under_way,
    (SELECT count(*) FROM workouts WHERE user_id = %(user_id)s) AS total,
    count(*) AS lately,
    coalesce(
        ceil(extract(epoch FROM min(created_at) + interval '1 hour' - now())), 0
    )::int AS wait
FROM workouts
WHERE user_id = %(user_id)s AND created_at > now() - interval '1 hour' AND upload_id IS NULL

-- name: get_workout
-- One of the user's own workouts.
SELECT * FROM visible_workouts WHERE id = %(id)s AND user_id = %(user_id)s

-- name: get_workouts
-- Of the given workouts those not deleted, in the same order.
SELECT * FROM visible_workouts
WHERE id = ANY(%(ids)s) AND user_id = %(user_id)s
ORDER BY array_position(%(ids)s::uuid[], id)

-- name: list_ids
-- Every ride of the user, newest first.
SELECT id FROM visible_workouts WHERE user_id = %(user_id)s ORDER BY start_time DESC, id DESC

-- name: update_workout
-- A member that was not sent keeps its value: the flags tell absent from null. The start is that of
-- the samples, if there are any, archived or in Redis; a ride that is over does not end before it.
UPDATE visible_workouts SET
    title = CASE WHEN %(set_title)s THEN %(title)s ELSE title END,
    description = CASE WHEN %(set_description)s THEN %(description)s ELSE description END,
    start_time = coalesce(%(start_time)s::timestamptz, start_time),
    end_time = CASE
        WHEN end_time < %(start_time)s::timestamptz THEN %(start_time)s ELSE end_time
    END,
    updated_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s
    AND (
        %(start_time)s::timestamptz IS NULL OR start_time = %(start_time)s
        OR NOT (
            %(has_waiting)s OR EXISTS (SELECT FROM workout_channels WHERE workout_id = %(id)s)
        )
    )
RETURNING *

-- name: change_sport
-- Call the ride another sport; its figures are to be computed anew, by the thresholds of that one.
UPDATE workouts SET sport = %(sport)s, stale = true, fold_asked_at = NULL
WHERE id = %(id)s AND user_id = %(user_id)s AND status <> 'DELETED' AND sport <> %(sport)s
RETURNING status IN ('COMPLETED', 'ARCHIVED') AS is_over

-- name: count_by_itself
-- A recording that was taken for another one's ride is a ride of its own; its efforts are due.
UPDATE workouts SET duplicate_of = NULL, stale = true, fold_asked_at = NULL
WHERE id = %(id)s AND user_id = %(user_id)s AND duplicate_of IS NOT NULL

-- name: crop_workout
-- Let only a range of a ride count; its figures are to be computed anew. Not of a ride under way.
UPDATE workouts SET
    crop = %(crop)s::int8range, stale = true, fold_asked_at = NULL, updated_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s AND status NOT IN ('ACTIVE', 'PAUSED', 'DELETED')
RETURNING id

-- name: undo_crop
-- Let all of a ride count again.
UPDATE workouts SET crop = NULL, stale = true, fold_asked_at = NULL, updated_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s AND status <> 'DELETED' AND crop IS NOT NULL
RETURNING id

-- name: remove_range
-- The samples of a range are to be deleted by the fold that is now due, and kept out by every later
-- one. Not beyond so many ranges.
UPDATE workouts SET
    removed_ranges = removed_ranges + %(range)s::int8multirange,
    stale = true, fold_asked_at = NULL, updated_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s AND status <> 'DELETED'
    AND (SELECT count(*) FROM unnest(removed_ranges + %(range)s::int8multirange))
        <= greatest(%(most)s, (SELECT count(*) FROM unnest(removed_ranges)))
RETURNING id

-- name: change_status
-- The transition is checked here, so that two requests cannot both make it.
UPDATE visible_workouts SET status = %(to)s::workout_status, updated_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s AND status = ANY(%(from)s::workout_status[])
RETURNING *

-- name: complete_workout
-- The ride is over, and its last fold due. The committed row is the promise; the event that follows
-- only makes it prompt. Asked for again while it is due, it is announced again: the first event may
-- have been lost.
UPDATE workouts SET
    status = 'PROCESSING',
    completed_at = CASE WHEN status = 'PROCESSING' THEN completed_at ELSE now() END,
    completed_by = CASE WHEN status = 'PROCESSING' THEN completed_by ELSE %(key_id)s END,
    fold_asked_at = now(),
    updated_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s
    AND (
        status IN ('ACTIVE', 'PAUSED')
        OR (status = 'PROCESSING' AND fold_asked_at < now() - interval '2 seconds')
    )
RETURNING completed_at = now() AND coalesce(stream_name = '', false) AS lost_its_stream

-- name: is_newly_ended
-- Whether that key ended the ride, within the last hour: its device may have lost the answer.
SELECT completed_by = %(key_id)s AND completed_at > now() - interval '1 hour' AS is_newly_ended
FROM workouts
WHERE id = %(id)s AND user_id = %(user_id)s AND status <> 'DELETED'

-- name: delete_workout
-- Hides the workout at once; its rows are purged later.
UPDATE workouts SET status = 'DELETED', deleted_at = now(), updated_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s AND status <> 'DELETED'
RETURNING stream_name

-- name: lock_laps
-- The laps of a ride, which nobody else changes before the transaction ends; since when it was ridden,
-- as soon as samples were folded, and until when, if it is over.
SELECT laps,
    CASE WHEN summary IS NOT NULL THEN extract(epoch FROM start_time) * 1000 END::bigint AS first,
    CASE WHEN summary IS NOT NULL AND status IN ('COMPLETED', 'ARCHIVED')
        THEN extract(epoch FROM end_time) * 1000
    END::bigint AS last
FROM workouts
WHERE id = %(id)s AND user_id = %(user_id)s AND status <> 'DELETED'
FOR NO KEY UPDATE

-- name: put_laps
-- The laps of a ride; of one that is over, their figures are due.
UPDATE workouts SET
    laps = %(laps)s,
    stale = stale OR status IN ('COMPLETED', 'ARCHIVED'),
    fold_asked_at = CASE WHEN status IN ('COMPLETED', 'ARCHIVED') THEN NULL ELSE fold_asked_at END,
    updated_at = now()
WHERE id = %(id)s AND user_id = %(user_id)s

-- name: free_duplicates
-- Of the recordings that did not count beside a deleted one, the oldest counts from now on.
UPDATE workouts SET
    duplicate_of = nullif(heir.id, workouts.id), stale = true, fold_asked_at = NULL,
    updated_at = now()
FROM (
    SELECT id FROM workouts
    WHERE duplicate_of = %(id)s AND user_id = %(user_id)s AND status <> 'DELETED'
    ORDER BY created_at, id
    LIMIT 1
) AS heir
WHERE duplicate_of = %(id)s AND user_id = %(user_id)s

-- name: matching_workouts
-- The filters of the list and of its number. No statement is prepared on the server, so each is
-- planned with its parameters: a filter that is null leaves nothing in the plan.
SELECT * FROM workouts
WHERE user_id = %(user_id)s AND status <> 'DELETED'
    AND (%(status)s::workout_status IS NULL OR status = %(status)s)
    AND (%(sport)s::text IS NULL OR sport = %(sport)s)
    AND (%(from)s::timestamptz IS NULL OR start_time >= %(from)s)
    AND (%(to)s::timestamptz IS NULL OR start_time < %(to)s)
    {ranges}
    AND (%(q)s::text IS NULL OR words @@ search_query(%(q)s))

-- name: within_range
-- A filter of the list: a range of one figure, either end of which may be missing.
AND ({least}::{type} IS NULL OR {column} >= {least})
AND ({most}::{type} IS NULL OR {column} <= {most})

-- name: count_workouts
-- How many workouts the filters let pass.
SELECT count(*) AS total FROM ({matching}) AS matching

-- name: list_workouts
-- By page (offset), or after the place of a cursor: {beyond} it, by {column} in {order}.
-- Those without a value come last in both orders, as a branch of their own: so one index, read
-- forwards or backwards, gives either order, and each place in it is found at once.
WITH matching AS NOT MATERIALIZED ({matching}),
page AS (
    (
        SELECT * FROM matching
        WHERE {column} IS NOT NULL AND (
            %(after_id)s::uuid IS NULL
            OR ({column}, start_time, id)
                {beyond} (%(after_value)s, %(after_time)s::timestamptz, %(after_id)s)
        )
        ORDER BY {column} {order}, start_time {order}, id {order}
        LIMIT %(offset)s::bigint + %(limit)s::bigint
    )
    UNION ALL
    (
        SELECT * FROM matching
        WHERE {column} IS NULL AND (
            %(after_no_value)s::boolean IS NOT TRUE
            OR (start_time, id) {beyond} (%(after_time)s, %(after_id)s)
        )
        ORDER BY {column} {order}, start_time {order}, id {order}
        LIMIT %(offset)s + %(limit)s
    )
)
SELECT id, user_id, stream_name, title, description, sport, status, start_time, end_time,
    duration, summary, excluded, excluded_ranges, created_at, updated_at, crop, vouched_ranges,
    removed_ranges, upload_id, duplicate_of, time_zone, samples_deleted_at
FROM page
ORDER BY {column} {order} NULLS LAST, start_time {order}, id {order}
LIMIT %(limit)s OFFSET %(offset)s

-- name: short_curves
-- The power curves of a user's rides, at some durations.
SELECT workout_id, jsonb_agg(
    jsonb_build_object('duration', duration, 'watts', round(power::numeric, 3)) ORDER BY duration
) AS points
FROM workout_curves, unnest(durations, watts) AS point (duration, power)
WHERE workout_id = ANY(%(ids)s) AND user_id = %(user_id)s AND duration = ANY(%(durations)s)
GROUP BY workout_id

-- name: read_own_channels
-- The archived channels of a user's workout, or those named.
SELECT part, channel, encoding, samples, data
FROM workout_channels
JOIN visible_workouts ON visible_workouts.id = workout_id
WHERE workout_id = %(id)s AND user_id = %(user_id)s
    AND (%(channels)s::text[] IS NULL OR channel = ANY(%(channels)s))

-- name: read_channels
-- The archived channels of a workout, for its fold; or of the parts named.
SELECT part, channel, encoding, samples, data
FROM workout_channels
WHERE workout_id = %(id)s AND (%(parts)s::int[] IS NULL OR part = ANY(%(parts)s))
