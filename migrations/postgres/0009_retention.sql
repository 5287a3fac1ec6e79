-- What one node at a time does for all: who does it, and until when it is theirs without another sign.
CREATE TABLE duties (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL,
    held_until BIGINT NOT NULL
);

-- History in partitions by age, so that what is old goes away at once: ids start with the time of acceptance. What there is becomes the first
-- partition as it is, until the end of today; the server makes one for each day to come, ahead of time. What fits into none is in `_rest`.
LOCK TABLE runs, run_logs, run_labels, dead_letters IN ACCESS EXCLUSIVE MODE;

ALTER TABLE runs RENAME TO runs_before;
ALTER INDEX runs_pkey RENAME TO runs_before_pkey;
ALTER INDEX runs_by_path RENAME TO runs_before_by_path;
ALTER INDEX runs_unusual RENAME TO runs_before_unusual;
ALTER INDEX runs_unusual_by_path RENAME TO runs_before_unusual_by_path;
ALTER INDEX runs_by_cause RENAME TO runs_before_by_cause;
ALTER INDEX runs_by_tag RENAME TO runs_before_by_tag;
CREATE TABLE runs (LIKE runs_before INCLUDING DEFAULTS) PARTITION BY RANGE (id);
ALTER TABLE runs ADD CONSTRAINT runs_pkey PRIMARY KEY (workspace, id);
CREATE INDEX runs_by_path ON runs (workspace, path, id);
CREATE INDEX runs_unusual ON runs (workspace, status, id) WHERE status <> 5;
CREATE INDEX runs_unusual_by_path ON runs (workspace, path, status, id) WHERE status <> 5;
CREATE INDEX runs_by_cause ON runs (workspace, cause, id) WHERE cause IS NOT NULL;
CREATE INDEX runs_by_tag ON runs (workspace, tag, id) WHERE tag <> '';

ALTER TABLE run_logs RENAME TO run_logs_before;
ALTER INDEX run_logs_pkey RENAME TO run_logs_before_pkey;
CREATE TABLE run_logs (LIKE run_logs_before INCLUDING DEFAULTS) PARTITION BY RANGE (run);
ALTER TABLE run_logs ADD CONSTRAINT run_logs_pkey PRIMARY KEY (workspace, run, chunk);

ALTER TABLE run_labels RENAME TO run_labels_before;
ALTER INDEX run_labels_pkey RENAME TO run_labels_before_pkey;
CREATE TABLE run_labels (LIKE run_labels_before INCLUDING DEFAULTS) PARTITION BY RANGE (run);
ALTER TABLE run_labels ADD CONSTRAINT run_labels_pkey PRIMARY KEY (workspace, name, value, run);

ALTER TABLE dead_letters RENAME TO dead_letters_before;
ALTER INDEX dead_letters_pkey RENAME TO dead_letters_before_pkey;
CREATE TABLE dead_letters (LIKE dead_letters_before INCLUDING DEFAULTS) PARTITION BY RANGE (run);
ALTER TABLE dead_letters ADD CONSTRAINT dead_letters_pkey PRIMARY KEY (workspace, run);

DO $$
DECLARE
    day_ms CONSTANT BIGINT := 86400000;
    last_day BIGINT := floor(extract(epoch FROM now()) * 1000 / day_ms);
    newest BYTEA;
    part TEXT;
BEGIN
    FOR newest IN
        (SELECT id FROM runs_before ORDER BY id DESC LIMIT 1)
        UNION ALL (SELECT run FROM run_logs_before ORDER BY run DESC LIMIT 1)
        UNION ALL (SELECT run FROM run_labels_before ORDER BY run DESC LIMIT 1)
        UNION ALL (SELECT run FROM dead_letters_before ORDER BY run DESC LIMIT 1)
    LOOP
        -- A clock may have been ahead.
        last_day := greatest(last_day, ('x' || encode(substring(newest FROM 1 FOR 6), 'hex'))::BIT(48)::BIGINT / day_ms);
    END LOOP;
    FOREACH part IN ARRAY ARRAY['runs', 'run_logs', 'run_labels', 'dead_letters'] LOOP
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (MINVALUE) TO (%L)', part, part || '_before',
            decode(lpad(to_hex((last_day + 1) * day_ms), 12, '0'), 'hex'));
    END LOOP;
END
$$;

CREATE TABLE runs_rest PARTITION OF runs DEFAULT;
CREATE TABLE run_logs_rest PARTITION OF run_logs DEFAULT;
CREATE TABLE run_labels_rest PARTITION OF run_labels DEFAULT;
CREATE TABLE dead_letters_rest PARTITION OF dead_letters DEFAULT;
