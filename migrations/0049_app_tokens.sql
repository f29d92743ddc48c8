-- depends: 0048_apps
-- transactional: false
-- The access tokens of apps among all keys, by their grant.

-- Half an index, of an attempt that was cut off, would never be used.
DROP INDEX CONCURRENTLY IF EXISTS api_keys_grant;
CREATE INDEX CONCURRENTLY api_keys_grant ON api_keys (grant_id) WHERE grant_id IS NOT NULL;
