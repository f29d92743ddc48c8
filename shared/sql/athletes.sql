-- name: find_athlete_share
-- By which share a user reads an athlete's data now; nothing if by none.
SELECT id FROM open_athlete_shares WHERE user_id = %(athlete_id)s AND reader_id = %(user_id)s

-- name: note_reads
-- Note that athletes' data were just read by these shares. Written in batches, off the request path.
UPDATE athlete_shares SET last_read_at = now() WHERE id = ANY(%(ids)s)

-- name: delete_reading
-- What a user who goes has let others read, and reads of others; what others have offered and the
-- user never answered stays as it looks to them.
DELETE FROM athlete_shares
WHERE user_id = %(user_id)s OR (reader_id = %(user_id)s AND accepted_at IS NOT NULL)

-- name: is_own_email
-- Whether this is the address of the user's own account.
SELECT id FROM users WHERE id = %(user_id)s AND lower(email) = lower(%(email)s)

-- name: count_people
-- How many others a user has let in, or offered it to.
SELECT count(*) AS shares FROM athlete_shares WHERE user_id = %(user_id)s

-- name: offer
-- Offer an account to read what is the user's; nothing where it does already. An address without an
-- account is kept as it is, and is nobody's until it is offered again: what was offered before and not
-- accepted is the same offer, to whoever has the address by now.
INSERT INTO athlete_shares (user_id, reader_id, email)
VALUES (
    %(user_id)s,
    (SELECT id FROM active_users WHERE lower(email) = lower(%(email)s)),
    %(email)s
)
ON CONFLICT (user_id, lower(email)) DO UPDATE SET reader_id = excluded.reader_id
WHERE athlete_shares.accepted_at IS NULL
RETURNING id, email, NULL AS name, created_at, accepted_at, last_read_at

-- name: list_people
-- Whom a user has let in or offered it to, newest first. An offer looks the same whoever has that
-- address. A reader who is disabled may be enabled again, and so stays listed, to be ended.
SELECT athlete_shares.id, athlete_shares.email, created_at, accepted_at, last_read_at,
    CASE WHEN accepted_at IS NOT NULL
        THEN (SELECT display_name FROM users WHERE users.id = reader_id)
    END AS name
FROM athlete_shares
WHERE user_id = %(user_id)s
ORDER BY created_at DESC, id DESC

-- name: end_person
-- From now on nobody reads by this share of the user's.
DELETE FROM athlete_shares WHERE id = %(id)s AND user_id = %(user_id)s

-- name: find_person
-- One of a user's shares with other accounts, if it is there still.
SELECT id::text FROM athlete_shares WHERE id = %(id)s AND user_id = %(user_id)s

-- name: count_athletes
-- How many athletes a user reads.
SELECT count(*) AS shares FROM open_athlete_shares WHERE reader_id = %(user_id)s

-- name: accept
-- Accept what an athlete has offered the user; accepted before, it stays so.
UPDATE athlete_shares SET accepted_at = coalesce(accepted_at, now())
WHERE reader_id = %(user_id)s AND user_id = %(athlete_id)s
    AND user_id IN (SELECT id FROM active_users)
RETURNING id

-- name: leave
-- Decline what an athlete has offered the user, or read it no more.
DELETE FROM athlete_shares
WHERE reader_id = %(user_id)s AND user_id = %(athlete_id)s
    AND user_id IN (SELECT id FROM active_users)
RETURNING id

-- name: list_offers
-- The athletes who have offered the user to read what is theirs, the newest first.
SELECT
    athlete.id, coalesce(nullif(display_name, ''), split_part(users.email, '@', 1)) AS name,
    athlete_shares.created_at AS offered_at
FROM athlete_shares
JOIN active_users AS athlete ON athlete.id = user_id
JOIN users ON users.id = user_id
WHERE reader_id = %(user_id)s AND accepted_at IS NULL
ORDER BY athlete_shares.created_at DESC, athlete_shares.id
LIMIT %(most)s

-- name: list_athletes
-- Whom the user reads, by name: the newest ride, this evening's form, and the week that they are in,
-- each in the athlete's time zone. What is summed here for form is what `fitness` in
-- api/season/totals.py comes to day by day: each TSS fades by 1/e in so many days. Stress of before
-- the days that are remembered counts for nothing, but for there being a form.
WITH readable AS MATERIALIZED (
    SELECT
        users.id, accepted_at, time_zone,
        coalesce(nullif(display_name, ''), split_part(email, '@', 1)) AS name,
        (now() AT TIME ZONE time_zone)::date AS today
    FROM open_athlete_shares
    JOIN users ON users.id = user_id
    CROSS JOIN LATERAL (SELECT coalesce(settings ->> 'timeZone', 'UTC') AS time_zone) AS own
    WHERE reader_id = %(user_id)s
)
SELECT
    readable.id, readable.name, readable.time_zone, readable.accepted_at, last_ride.*, form.*,
    stressful > 0 OR EXISTS (
        SELECT FROM workouts
        WHERE user_id = readable.id AND status IN ('COMPLETED', 'ARCHIVED')
            AND duplicate_of IS NULL AND training_stress_score IS NOT NULL
            AND start_time < (today + 1)::timestamp AT TIME ZONE readable.time_zone
    ) AS has_form,
    date_trunc('week', today::timestamp)::date AS week_start, week.*
FROM readable
LEFT JOIN LATERAL (
    SELECT id AS ride_id, title, start_time, training_stress_score AS ride_stress
    FROM workouts
    WHERE user_id = readable.id AND status IN ('COMPLETED', 'ARCHIVED') AND duplicate_of IS NULL
    ORDER BY start_time DESC, id DESC
    LIMIT 1
) AS last_ride ON true
LEFT JOIN LATERAL (
    SELECT
        count(stress) AS stressful,
        sum(stress * exp(-age / %(fitness)s)) * (1 - exp(-1 / %(fitness)s)) AS ctl,
        sum(stress * exp(-age / %(fatigue)s)) * (1 - exp(-1 / %(fatigue)s)) AS atl,
        sum(stress * exp((1 - age) / %(fitness)s)) FILTER (WHERE age > 0)
            * (1 - exp(-1 / %(fitness)s)) AS ctl_before,
        sum(stress * exp((1 - age) / %(fatigue)s)) FILTER (WHERE age > 0)
            * (1 - exp(-1 / %(fatigue)s)) AS atl_before
    FROM (
        SELECT
            training_stress_score AS stress,
            (today - (start_time AT TIME ZONE readable.time_zone)::date)::double precision AS age
        FROM workouts
        WHERE user_id = readable.id AND status IN ('COMPLETED', 'ARCHIVED')
            AND duplicate_of IS NULL
            AND start_time
                >= (today - %(remembered)s::int)::timestamp AT TIME ZONE readable.time_zone
            AND start_time < (today + 1)::timestamp AT TIME ZONE readable.time_zone
    ) AS ridden
) AS form ON true
LEFT JOIN LATERAL (
    SELECT
        count(*) AS week_workouts,
        coalesce(sum(recorded_time), 0) AS week_time,
        sum((summary #>> '{precise,totalEnergy}')::double precision) AS week_energy,
        sum(training_stress_score) AS week_stress
    FROM workouts
    WHERE user_id = readable.id AND status IN ('COMPLETED', 'ARCHIVED') AND duplicate_of IS NULL
        AND start_time >= date_trunc('week', today::timestamp) AT TIME ZONE readable.time_zone
        AND start_time
            < (date_trunc('week', today::timestamp) + interval '7 days')
                AT TIME ZONE readable.time_zone
) AS week ON true
ORDER BY lower(readable.name), readable.id
