-- Rates, dead letters.

-- 1: it has its place in the rates that it keeps to
ALTER TABLE queue ADD COLUMN has_place INTEGER NOT NULL DEFAULT 0;

-- When the next place in a rate is.
CREATE TABLE queue_rates (
    workspace BLOB NOT NULL,
    name BLOB NOT NULL,
    next_at INTEGER NOT NULL,
    PRIMARY KEY (workspace, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX queue_rates_free ON queue_rates (next_at);

-- Runs of the queue that failed for good, until they are replayed or discarded. What history does not keep of an event is kept here.
CREATE TABLE dead_letters (
    workspace BLOB NOT NULL,
    run BLOB NOT NULL,
    -- JSON: the event's trigger and keys; NULL: history has the arguments
    origin TEXT,
    event TEXT,
    payload BLOB,
    PRIMARY KEY (workspace, run)
) STRICT, WITHOUT ROWID;
