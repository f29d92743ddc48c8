-- name: find_schema
-- Whether the newest of what the API reads is there.
SELECT to_regprocedure('search_query(text)') IS NOT NULL AS migrated
