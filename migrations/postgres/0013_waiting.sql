-- Runs that wait for others do not count towards their workspace's limit, on whichever node they sleep.
-- 1: it executes, and sleeps
ALTER TABLE queue ADD COLUMN asleep BIGINT NOT NULL DEFAULT 0;

-- A run whose time is over ends, whatever it waits for. NULL: it may take its time.
ALTER TABLE queue ADD COLUMN ends_by BIGINT;
UPDATE queue SET ends_by = (policy::JSON ->> 'ends_by')::BIGINT WHERE policy IS NOT NULL;
CREATE INDEX queue_overdue ON queue (ends_by) WHERE ends_by IS NOT NULL AND state <> 3;
