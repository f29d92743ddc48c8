-- name: limit_waits
-- A worker that stalls must not keep the row from the others: PostgreSQL ends its transaction.
SELECT
    set_config('lock_timeout', '5s', true),
    set_config('idle_in_transaction_session_timeout', '60s', true)

-- name: lock_workout
-- The row lock is the mutual exclusion between workers. Not FOR UPDATE: that would also keep
-- records of other rides, whose writers hold the rider's lock, from referring to this row.
SELECT id, user_id, sport, status, start_time, stale, excluded, excluded_ranges, vouched_ranges,
    removed_ranges, crop, overwritten, duplicate_of, laps,
    samples_deleted_at IS NOT NULL AS samples_deleted,
    coalesce((summary ->> 'methodVersion')::int, 0) AS method_version,
    coalesce((summary ->> 'sampleCount')::int, 0) AS summarized,
    (
        SELECT coalesce(sum(samples), 0)::int FROM workout_channels
        WHERE workout_id = %(id)s AND channel = 'timestamp'
    ) AS archived
FROM workouts
WHERE id = %(id)s
FOR NO KEY UPDATE

-- name: peek_workout
-- The same without a lock, for figures that are only shown: no fold waits for them.
SELECT id, user_id, sport, status, start_time, stale, excluded, excluded_ranges, vouched_ranges,
    removed_ranges, crop, overwritten, duplicate_of, laps,
    samples_deleted_at IS NOT NULL AS samples_deleted,
    coalesce((summary ->> 'methodVersion')::int, 0) AS method_version,
    coalesce((summary ->> 'sampleCount')::int, 0) AS summarized,
    0 AS archived
FROM workouts
WHERE id = %(id)s

-- name: write_channels
-- Write all rows in one statement, from arrays of equal length.
INSERT INTO workout_channels (workout_id, part, channel, encoding, samples, data)
SELECT %(workout_id)s, * FROM unnest(
    %(part)s::int[], %(channel)s::text[], %(encoding)s::text[], %(samples)s::int[],
    %(data)b::bytea[]
)
ON CONFLICT (workout_id, part, channel) DO UPDATE SET
    encoding = excluded.encoding, samples = excluded.samples, data = excluded.data

-- name: delete_archive
-- Delete a workout's archive before it is written in different parts.
DELETE FROM workout_channels WHERE workout_id = %(workout_id)s

-- name: note_arrival
-- Record when the newest batch arrived, and what it overwrote, without new figures.
UPDATE workouts SET
    overwritten = overwritten + %(overwritten)s,
    sample_bytes = (
        SELECT coalesce(sum(octet_length(data)), 0) FROM workout_channels
        WHERE workout_id = %(id)s
    ),
    last_received_at = greatest(last_received_at, %(received_at)s), updated_at = now()
WHERE id = %(id)s

-- name: write_summary
-- A ride the rider has completed is COMPLETED once its samples are here; without samples it
-- lasted from its start to its completion.
UPDATE workouts SET
    summary = %(summary)s,
    laps = %(laps)s,
    start_time = coalesce(%(first)s, start_time),
    end_time = CASE
        WHEN status IN ('ACTIVE', 'PAUSED') THEN NULL
        ELSE coalesce(%(last)s, greatest(completed_at, start_time))
    END,
    duration = %(duration)s,
    overwritten = overwritten + %(overwritten)s,
    status = CASE WHEN status = 'PROCESSING' THEN 'COMPLETED' ELSE status END,
    stale = false,
    sample_bytes = (
        SELECT coalesce(sum(octet_length(data)), 0) FROM workout_channels
        WHERE workout_id = %(id)s
    ),
    last_received_at = greatest(last_received_at, %(received_at)s),
    updated_at = now()
WHERE id = %(id)s

-- name: keep_figures
-- The figures of a ride whose samples are no longer kept stay as they are.
UPDATE workouts SET stale = false WHERE id = %(id)s AND stale

-- name: expire_samples
-- Delete the samples of rides that ended longer ago than samples are kept, in a portion, and note it in
-- their rows. Not while figures are to be computed anew, and not before there are any.
WITH expired AS (
    SELECT id FROM workouts
    WHERE status IN ('COMPLETED', 'ARCHIVED') AND samples_deleted_at IS NULL AND NOT stale
        AND summary IS NOT NULL AND end_time < now() - make_interval(days => %(days)s)
    ORDER BY end_time
    LIMIT %(most)s
    FOR NO KEY UPDATE SKIP LOCKED
), deleted AS (
    DELETE FROM workout_channels WHERE workout_id IN (SELECT id FROM expired)
)
UPDATE workouts SET samples_deleted_at = now(), sample_bytes = 0, updated_at = now()
WHERE id IN (SELECT id FROM expired)
RETURNING id

-- name: lock_rides_of
-- Whoever looks for duplicates among a user's rides does so alone; before any row is locked.
SELECT pg_advisory_xact_lock(hashtextextended(%(user_id)s::text, 7496054))

-- name: overlapping
-- The user's workouts whose start is near enough for them to be recordings of the same ride: that
-- both share three quarters of the longer one's time bounds how far their starts are apart.
SELECT id, sport, crop, samples_deleted_at IS NOT NULL AS samples_deleted, start_time, end_time
FROM workouts
WHERE user_id = %(user_id)s AND status <> 'DELETED' AND status IN ('COMPLETED', 'ARCHIVED')
    AND duplicate_of IS NULL AND id IS DISTINCT FROM %(id)s::uuid
    AND start_time >= %(first)s::timestamptz
        - (%(last)s::timestamptz - %(first)s::timestamptz) * 0.34 - interval '1 second'
    AND start_time <= %(last)s::timestamptz
    AND end_time >= %(first)s::timestamptz
ORDER BY created_at, id
LIMIT 20

-- name: note_duplicate
-- A ride was found to be another recording of one that is there already.
UPDATE workouts SET duplicate_of = %(duplicate_of)s WHERE id = %(id)s

-- name: fail_workout
-- Mark the workout of a dead letter as failed, and note in the letter what a replay needs: the
-- workout and its status. The samples stay.
WITH told AS (
    UPDATE dead_letters SET workout_id = workouts.id, status_before = workouts.status
    FROM workouts
    WHERE event_id = %(event_id)s AND workouts.id = %(id)s
)
UPDATE workouts SET status = 'FAILED', updated_at = now()
WHERE id = %(id)s AND status <> 'DELETED'
RETURNING id

-- name: elect
-- Let one worker at a time do a task; the lock ends with the transaction.
SELECT pg_try_advisory_xact_lock(%(task)s) AS elected

-- name: next_completions
-- Find workouts to complete. Each user's first comes before anybody's second, so that a user with
-- a thousand delays nobody else.
SELECT id FROM (
    SELECT id, fold_asked_at,
        row_number() OVER (PARTITION BY user_id ORDER BY fold_asked_at, id) AS turn
    FROM workouts
    WHERE status = 'PROCESSING' AND id <> ALL(%(asked)s)
) AS waiting
ORDER BY turn, fold_asked_at
LIMIT %(most)s

-- name: next_checkpoints
-- Rides under way, so that Redis holds minutes and not hours; those never asked for come first, and
-- each user's in turn. A row that somebody has locked is left for the next time: no deadlock.
UPDATE workouts SET fold_asked_at = now()
WHERE id IN (
    SELECT id FROM workouts
    WHERE status IN ('ACTIVE', 'PAUSED') AND id IN (
        SELECT id FROM (
            SELECT id, fold_asked_at,
                row_number() OVER (
                    PARTITION BY user_id ORDER BY fold_asked_at NULLS FIRST, id
                ) AS turn
            FROM workouts
            WHERE status IN ('ACTIVE', 'PAUSED') AND id <> ALL(%(asked)s)
                AND coalesce(fold_asked_at, created_at)
                    < now() - make_interval(secs => %(interval)s)
        ) AS waiting
        ORDER BY turn, fold_asked_at NULLS FIRST
        LIMIT %(most)s
    )
    FOR NO KEY UPDATE SKIP LOCKED
)
RETURNING id

-- name: next_recomputes
-- Rides whose figures are to be computed anew, each user's in turn; likewise without those locked.
UPDATE workouts SET fold_asked_at = now()
WHERE id IN (
    SELECT id FROM workouts
    WHERE stale AND id IN (
        SELECT id FROM (
            SELECT id, fold_asked_at,
                row_number() OVER (
                    PARTITION BY user_id ORDER BY fold_asked_at NULLS FIRST, id
                ) AS turn
            FROM workouts
            WHERE stale AND status NOT IN ('DELETED', 'FAILED') AND id <> ALL(%(asked)s)
                AND (
                    fold_asked_at IS NULL
                    OR fold_asked_at < now() - make_interval(secs => %(overdue)s)
                )
        ) AS waiting
        ORDER BY turn, fold_asked_at NULLS FIRST
        LIMIT %(most)s
    )
    FOR NO KEY UPDATE SKIP LOCKED
)
RETURNING id

-- name: in_turn
-- Order these workouts, each user's first before anybody's second, and leave out those that no
-- fold changes.
SELECT id FROM (
    SELECT id, row_number() OVER (
        PARTITION BY user_id ORDER BY array_position(%(ids)s::uuid[], id)
    ) AS turn
    FROM workouts
    WHERE id = ANY(%(ids)s) AND status <> 'FAILED'
) AS waiting
ORDER BY turn, array_position(%(ids)s::uuid[], id)

-- name: find_silent
-- Candidates only: their streams may hold something newer than the last fold saw.
SELECT id FROM workouts
WHERE status IN ('ACTIVE', 'PAUSED')
    AND last_received_at < now() - make_interval(secs => %(silence)s)
LIMIT 500

-- name: complete_silent
-- Complete rides that have ended without their user saying so; as when a user completes one, the
-- row asks for the fold.
UPDATE workouts SET
    status = 'PROCESSING', completed_at = now(), fold_asked_at = now(), updated_at = now()
WHERE id = ANY(%(ids)s) AND status IN ('ACTIVE', 'PAUSED')
RETURNING id

-- name: find_finished
-- Of these workouts with waiting samples, those that are over: no event may ask for their fold.
SELECT id FROM workouts
WHERE id = ANY(%(ids)s) AND status IN ('COMPLETED', 'ARCHIVED', 'DELETED')

-- name: find_unknown
-- Of these workouts with waiting samples, those without a row.
SELECT id FROM unnest(%(ids)s::uuid[]) AS waiting (id)
WHERE NOT EXISTS (SELECT FROM workouts WHERE workouts.id = waiting.id)

-- name: find_purgeable
-- Workouts that were deleted longer ago than they are kept; in portions.
SELECT id FROM workouts
WHERE status = 'DELETED' AND deleted_at < now() - make_interval(secs => %(retention)s)
LIMIT 100
FOR UPDATE SKIP LOCKED

-- name: find_orphaned
-- The rides of deleted users, whatever state they are in. Not before the last process has forgotten
-- the users' keys, even one that PostgreSQL left without answers for an hour: until then it may take
-- samples, which could not be told from those of a ride that a restored backup is too old to have.
SELECT workouts.id
FROM workouts
JOIN users ON users.id = user_id
WHERE users.deleted_at < now() - interval '2 hours'
LIMIT 500
FOR UPDATE OF workouts SKIP LOCKED

-- name: purge_answers
-- Delete answers that nobody can ask for again.
DELETE FROM idempotency_keys WHERE created_at < now() - interval '1 day'

-- name: purge_deliveries
-- Delete what was delivered to webhooks, or could not be, a month ago; in portions. What waits goes where
-- its webhook is disabled.
DELETE FROM webhook_deliveries
WHERE id IN (
    SELECT delivery.id
    FROM webhook_deliveries AS delivery
    JOIN webhooks ON webhooks.id = webhook_id
    WHERE delivery.created_at < now() - interval '30 days'
        AND (status <> 'waiting' OR disabled_at IS NOT NULL)
    LIMIT 5000
)

-- name: purge_app_tokens
-- Delete access tokens of apps that have ended.
DELETE FROM api_keys
WHERE grant_id IS NOT NULL AND least(expires_at, revoked_at) < now() - interval '1 day'

-- name: purge_refresh_tokens
-- Delete refresh tokens that have expired, and those used so long ago that nobody looks for reuse.
DELETE FROM app_refresh_tokens
WHERE expires_at < now() OR used_at < now() - interval '30 days'

-- name: purge_grants
-- Delete what lets apps in no longer: revoked, never used in time, or without a token to go on by.
DELETE FROM app_grants
WHERE revoked_at < now() - interval '1 day'
    OR (code_used_at IS NULL AND code_expires_at < now() - interval '1 day')
    OR (
        code_used_at < now() - interval '1 day' AND NOT EXISTS (
            SELECT FROM app_refresh_tokens
            WHERE grant_id = app_grants.id AND app_refresh_tokens.used_at IS NULL
        )
    )

-- name: purge_users
-- Delete deleted users without workouts, after the delay of find_orphaned.
DELETE FROM users
WHERE deleted_at < now() - interval '2 hours'
    AND NOT EXISTS (SELECT FROM workouts WHERE user_id = users.id)

-- name: purge
-- Delete workouts for good, with all that refers to them.
DELETE FROM workouts WHERE id = ANY(%(ids)s)

-- name: some_finished
-- Finished rides with samples whose figures are up to date: spread evenly over all of them by id.
SELECT id FROM workouts
WHERE status IN ('COMPLETED', 'ARCHIVED') AND NOT stale
    AND (summary ->> 'methodVersion')::int = %(method_version)s
    AND EXISTS (SELECT FROM workout_channels WHERE workout_id = workouts.id)
ORDER BY md5(id::text)
LIMIT %(most)s

-- name: read_summary
-- The figures of a ride as they are stored.
SELECT summary FROM workouts WHERE id = %(id)s
