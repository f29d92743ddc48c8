-- depends: 0024_originals
-- What was said of a file's ride beside the file, as by the table of another service's export.

ALTER TABLE uploads
    ADD COLUMN IF NOT EXISTS title text,
    ADD COLUMN IF NOT EXISTS description text,
    ADD COLUMN IF NOT EXISTS sport text;
