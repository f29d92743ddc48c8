-- depends: 0026_time_zones
-- A zip is what its files have become: done if one of them gave a ride, a duplicate if they only
-- matched rides that were there, failed if all of them are.

CREATE OR REPLACE VIEW shown_uploads AS
SELECT
    upload.id, user_id, parent_id, key_id, filename, size, sha256, on_duplicate, reason, warnings,
    workout_ids, duplicates, created_at, updated_at,
    CASE
        WHEN status <> 'done' OR counts IS NULL THEN status
        WHEN counts ?| '{queued,processing}' THEN 'processing'
        WHEN counts ? 'done' THEN 'done'
        WHEN counts ? 'duplicate' THEN 'duplicate'
        ELSE 'failed'
    END AS status,
    counts AS members
FROM uploads AS upload, LATERAL (
    SELECT jsonb_object_agg(counted.status, counted.files) AS counts
    FROM (
        SELECT member.status, count(*) AS files
        FROM uploads AS member
        WHERE member.parent_id = upload.id
        GROUP BY member.status
    ) AS counted
) AS of_files;
