-- transactional: false
DROP INDEX CONCURRENTLY IF EXISTS api_keys_grant;
