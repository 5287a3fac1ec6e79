-- Rates, dead letters.

-- 1: it has its place in the rates that it keeps to
ALTER TABLE queue ADD COLUMN has_place BIGINT NOT NULL DEFAULT 0;

-- When the next place in a rate is.
CREATE TABLE queue_rates (
    workspace BYTEA NOT NULL,
    name BYTEA NOT NULL,
    next_at BIGINT NOT NULL,
    PRIMARY KEY (workspace, name)
);
CREATE INDEX queue_rates_free ON queue_rates (next_at);

-- Runs of the queue that failed for good, until they are replayed or discarded. What history does not keep of an event is kept here.
CREATE TABLE dead_letters (
    workspace BYTEA NOT NULL,
    run BYTEA NOT NULL,
    -- JSON: the event's trigger and keys; NULL: history has the arguments
    origin TEXT,
    event TEXT,
    payload BYTEA,
    PRIMARY KEY (workspace, run)
);
