-- Runs that have not ended. Rows are small, so that claims and leases rewrite little; what a run starts from is in queue_inputs.
CREATE TABLE queue (
    workspace BLOB NOT NULL,
    id BLOB NOT NULL,
    workspace_name TEXT NOT NULL,
    path TEXT NOT NULL,
    number INTEGER NOT NULL,
    version BLOB NOT NULL,
    -- JSON
    limits TEXT NOT NULL,
    run_as TEXT NOT NULL,
    -- NULL: started with arguments, by no trigger
    trigger_kind TEXT,
    created_at INTEGER NOT NULL,
    scheduled_for INTEGER NOT NULL,
    -- attempts begun so far, and when the last began
    attempt INTEGER NOT NULL,
    started_at INTEGER,
    -- the node that runs it; NULL: status queued, else running
    lease_node TEXT,
    lease_until INTEGER,
    -- 1: somebody asked to cancel it while it was running
    cancel_requested INTEGER NOT NULL,
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;

-- What can be claimed, oldest first.
CREATE INDEX queue_ready ON queue (scheduled_for, id) WHERE lease_node IS NULL;
-- What is running, by node.
CREATE INDEX queue_leased ON queue (lease_node) WHERE lease_node IS NOT NULL;

-- Arguments, or an event.
CREATE TABLE queue_inputs (
    workspace BLOB NOT NULL,
    id BLOB NOT NULL,
    -- JSON object
    arguments TEXT,
    -- the event's metadata, JSON object
    event TEXT,
    -- the event's trigger and keys, JSON object
    origin TEXT,
    payload BLOB,
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;

-- Runs that have ended; rows are only added.
-- status:  0 held, 1 queued, 2 parked, 3 running, 4 suspended, 5 succeeded, 6 failed, 7 cancelled, 8 skipped
-- outcome: 0 ok, 1 skipped, 2 error, 3 invalid_arguments, 4 trap, 5 out_of_fuel, 6 out_of_memory, 7 timeout, 8 result_too_large,
--          9 denied, 10 cancelled, 11 lost, 12 poisoned, 13 host_fault
CREATE TABLE runs (
    workspace BLOB NOT NULL,
    id BLOB NOT NULL,
    path TEXT NOT NULL,
    number INTEGER NOT NULL,
    version BLOB NOT NULL,
    status INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    trigger_kind TEXT,
    run_as TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    scheduled_for INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER NOT NULL,
    fuel INTEGER NOT NULL,
    memory_peak_bytes INTEGER NOT NULL,
    cpu_ns INTEGER NOT NULL,
    wall_ns INTEGER NOT NULL,
    -- JSON: as accepted, or what the preprocessor made of the event
    arguments TEXT NOT NULL,
    -- JSON: the event's metadata
    event TEXT,
    -- what was returned: JSON in output, or bytes in output_bytes with their content type (as bytes, it is the script's own text)
    output TEXT,
    output_type BLOB,
    output_bytes BLOB,
    -- JSON
    error TEXT,
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_by_path ON runs (workspace, path, id);
-- Most runs succeed, so the others are found by these and cost nothing where there are none.
CREATE INDEX runs_unusual ON runs (workspace, status, id) WHERE status <> 5;
CREATE INDEX runs_unusual_by_path ON runs (workspace, path, status, id) WHERE status <> 5;

-- Logs of ended runs in chunks, each some lines of JSON. A run that logged nothing has none.
CREATE TABLE run_logs (
    workspace BLOB NOT NULL,
    run BLOB NOT NULL,
    chunk INTEGER NOT NULL,
    lines TEXT NOT NULL,
    PRIMARY KEY (workspace, run, chunk)
) STRICT, WITHOUT ROWID;
