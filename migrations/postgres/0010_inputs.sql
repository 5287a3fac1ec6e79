-- Small inputs stand in the queue's own row.

ALTER TABLE queue ADD COLUMN arguments TEXT;
ALTER TABLE queue ADD COLUMN event TEXT;
ALTER TABLE queue ADD COLUMN origin TEXT;
ALTER TABLE queue ADD COLUMN payload BYTEA;
-- 1: the input is in queue_inputs
ALTER TABLE queue ADD COLUMN has_input BIGINT NOT NULL DEFAULT 1;
