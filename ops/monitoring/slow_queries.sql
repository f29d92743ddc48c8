-- The statements that took the most time in all. Needs the extension pg_stat_statements.
SELECT calls, total_exec_time / 1000 AS seconds, mean_exec_time AS mean_ms, rows,
    left(regexp_replace(query, '\s+', ' ', 'g'), 160) AS query
FROM pg_stat_statements
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY total_exec_time DESC
LIMIT 20
