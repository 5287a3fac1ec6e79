-- Logs of runs that go on, written in parts.

-- how often the run was handed back by a node that stopped: with attempt it counts how often it was begun
ALTER TABLE queue ADD COLUMN handed_back BIGINT NOT NULL DEFAULT 0;

-- A chunk's number is from now on the position of its first entry: how often the run was begun (from 1) times 2^32, and the entry's number
-- (from 0). So far it counted chunks, of which each has less than 2^20 entries.
UPDATE run_logs SET chunk = chunk + (chunk & 4294967295) * 1048575 WHERE (chunk & 4294967295) > 0;
