-- Run once by the image of PostgreSQL, as its superuser, when a volume is new.
-- The role of the service: it owns its database, and is no superuser. It may make databases, in which
-- `make restore-drill` tries a backup.
\set password `cat /run/secrets/database_password`
CREATE ROLE tracker LOGIN CREATEDB PASSWORD :'password';
CREATE DATABASE tracker OWNER tracker;
-- From now on the superuser gets in by the socket inside the container alone.
ALTER ROLE postgres PASSWORD NULL;
-- Counts the time of every statement, for `make slow-queries`.
\connect tracker
CREATE EXTENSION pg_stat_statements;
