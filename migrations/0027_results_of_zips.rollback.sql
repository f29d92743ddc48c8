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
