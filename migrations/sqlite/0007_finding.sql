-- Finding runs again: what caused them, their tags and their labels.

-- cause_kind: 0 parent, 1 rerun, 2 handler; cause is the other run. NULL where there is none.
ALTER TABLE queue ADD COLUMN cause_kind INTEGER;
ALTER TABLE queue ADD COLUMN cause BLOB;
-- JSON object of texts; NULL where there are none
ALTER TABLE queue ADD COLUMN labels TEXT;

ALTER TABLE runs ADD COLUMN tag TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN cause_kind INTEGER;
ALTER TABLE runs ADD COLUMN cause BLOB;
ALTER TABLE runs ADD COLUMN labels TEXT;

-- Only of runs that have what is looked for, so that the others pay nothing.
CREATE INDEX queue_by_cause ON queue (workspace, cause, id) WHERE cause IS NOT NULL;
CREATE INDEX runs_by_cause ON runs (workspace, cause, id) WHERE cause IS NOT NULL;
CREATE INDEX runs_by_tag ON runs (workspace, tag, id) WHERE tag <> '';

-- A row for each label of each run, from its acceptance until it is forgotten.
CREATE TABLE run_labels (
    workspace BLOB NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    run BLOB NOT NULL,
    PRIMARY KEY (workspace, name, value, run)
) STRICT, WITHOUT ROWID;
