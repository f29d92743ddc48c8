DROP VIEW IF EXISTS shown_keys;
DROP VIEW IF EXISTS active_users;
