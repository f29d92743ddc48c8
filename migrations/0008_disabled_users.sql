-- depends: 0007_audit
-- A user whom the operator has shut out: no key opens, nothing is deleted.

ALTER TABLE users ADD COLUMN IF NOT EXISTS disabled_at timestamptz;
