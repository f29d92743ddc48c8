-- depends: 0021_search_words
-- Files that users send and what became of each; and what files tell of a ride beside its samples.

-- The row itself asks for its import. A file out of a zip has the zip as its parent. `duplicates`:
-- [{"workoutId", "why"}] of rides that were there already.
CREATE TABLE IF NOT EXISTS uploads (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    parent_id    uuid REFERENCES uploads ON DELETE CASCADE,
    key_id       text,
    filename     text,
    size         bigint NOT NULL CHECK (size >= 0),
    sha256       bytea NOT NULL CHECK (length(sha256) = 32),
    on_duplicate text NOT NULL DEFAULT 'reject'
        CHECK (on_duplicate IN ('reject', 'replace', 'merge', 'keep')),
    language     text NOT NULL DEFAULT 'en',
    status       text NOT NULL DEFAULT 'queued'
        CHECK (status IN ('queued', 'processing', 'done', 'duplicate', 'failed')),
    reason       text,
    warnings     text[] NOT NULL DEFAULT '{}',
    workout_ids  uuid[] NOT NULL DEFAULT '{}',
    duplicates   jsonb NOT NULL DEFAULT '[]',
    asked_at     timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX IF NOT EXISTS uploads_waiting ON uploads (user_id, created_at, id)
    WHERE status IN ('queued', 'processing');
CREATE INDEX IF NOT EXISTS uploads_list ON uploads (user_id, created_at DESC, id DESC)
    WHERE parent_id IS NULL;
CREATE INDEX IF NOT EXISTS uploads_members ON uploads (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS uploads_bytes ON uploads (user_id, sha256);

-- The original, by zlib where that makes it smaller.
CREATE TABLE IF NOT EXISTS upload_files (
    upload_id  uuid PRIMARY KEY REFERENCES uploads ON DELETE CASCADE,
    compressed boolean NOT NULL,
    data       bytea NOT NULL
);

-- Already compressed; and a part of it is read without the rest.
ALTER TABLE upload_files ALTER COLUMN data SET STORAGE EXTERNAL;

-- laps: [{"start", "end", "implied", "device", "summary"}] and pauses: [{"start", "end"}], in ms;
-- device: what recorded the ride, and the figures that it computed itself.
ALTER TABLE workouts
    ADD COLUMN IF NOT EXISTS laps jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN IF NOT EXISTS pauses jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN IF NOT EXISTS device jsonb,
    ADD COLUMN IF NOT EXISTS upload_id uuid REFERENCES uploads ON DELETE SET NULL,
    ADD COLUMN IF NOT EXISTS duplicate_of uuid REFERENCES workouts ON DELETE SET NULL;

CREATE INDEX IF NOT EXISTS workouts_upload ON workouts (upload_id) WHERE upload_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS workouts_duplicates ON workouts (duplicate_of)
    WHERE duplicate_of IS NOT NULL;

CREATE OR REPLACE VIEW visible_workouts AS
SELECT
    id, user_id, stream_name, title, description, sport, status, start_time, end_time, duration,
    summary, excluded, excluded_ranges, created_at, updated_at, crop, vouched_ranges, removed_ranges,
    laps, pauses, device, upload_id, duplicate_of
FROM workouts
WHERE status <> 'DELETED';

-- Uploads as their users see them: a zip is being processed for as long as any file of it is, and
-- `members` counts its files by their status.
CREATE OR REPLACE VIEW shown_uploads AS
SELECT
    id, user_id, parent_id, key_id, filename, size, sha256, on_duplicate, reason, warnings,
    workout_ids, duplicates, created_at, updated_at,
    CASE
        WHEN status = 'done' AND EXISTS (
            SELECT FROM uploads AS member
            WHERE member.parent_id = upload.id AND member.status IN ('queued', 'processing')
        ) THEN 'processing'
        ELSE status
    END AS status,
    (
        SELECT jsonb_object_agg(counted.status, counted.files)
        FROM (
            SELECT member.status, count(*) AS files
            FROM uploads AS member
            WHERE member.parent_id = upload.id
            GROUP BY member.status
        ) AS counted
    ) AS members
FROM uploads AS upload;
