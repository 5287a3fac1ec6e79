-- What a token is for: 0 whoever made it, 1 the start of one path, 2 one run.
ALTER TABLE tokens ADD COLUMN kind BIGINT NOT NULL DEFAULT 0;
-- 1: whatever the scopes say, it reads.
ALTER TABLE tokens ADD COLUMN is_read_only BIGINT NOT NULL DEFAULT 0;
-- The characters by which it is recognised; empty: none are kept.
ALTER TABLE tokens ADD COLUMN prefix TEXT NOT NULL DEFAULT '';
-- NULL: by the server itself, or before it was noted.
ALTER TABLE tokens ADD COLUMN created_by TEXT;
-- NULL: never.
ALTER TABLE tokens ADD COLUMN expires_at BIGINT;
-- Written now and then, to a minute.
ALTER TABLE tokens ADD COLUMN last_used_at BIGINT;
-- The secret before the last rotation, for as long as it is good beside the new one.
ALTER TABLE tokens ADD COLUMN old_hash BYTEA;
ALTER TABLE tokens ADD COLUMN old_until BIGINT;

CREATE UNIQUE INDEX tokens_old_hash ON tokens (old_hash) WHERE old_hash IS NOT NULL;
CREATE INDEX tokens_of_workspace ON tokens (workspace, id);
CREATE INDEX tokens_expiring ON tokens (expires_at) WHERE expires_at IS NOT NULL;
