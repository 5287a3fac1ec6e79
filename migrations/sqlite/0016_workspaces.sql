-- Many workspaces: which of them may be used, what each may use, and what it has used.

-- 0 active, 1 archived: nothing new starts, 2 being deleted
ALTER TABLE workspaces ADD COLUMN status INTEGER NOT NULL DEFAULT 0;
-- NULL: since it was made
ALTER TABLE workspaces ADD COLUMN status_since INTEGER;
-- NULL: none
ALTER TABLE workspaces ADD COLUMN plan TEXT;
-- JSON object: quotas in the place of the plan's; null: without limit
ALTER TABLE workspaces ADD COLUMN overrides TEXT NOT NULL DEFAULT '{}';
CREATE INDEX workspaces_by_plan ON workspaces (plan) WHERE plan IS NOT NULL;
CREATE INDEX workspaces_being_deleted ON workspaces (status_since, id) WHERE status = 2;

-- Named sets of quotas.
CREATE TABLE plans (
    name TEXT NOT NULL PRIMARY KEY,
    -- JSON object; what is not there is without limit
    quotas TEXT NOT NULL,
    description TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Workspaces that are gone: for a while, what their last runs still wrote is looked for.
CREATE TABLE deleted_workspaces (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    deleted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What attempts have used, written with their ends. `part` is whoever writes: several at once do not wait for each other; sums are over all.
CREATE TABLE usage_runs (
    workspace BLOB NOT NULL,
    -- since 1970, UTC, in which the attempt ended
    day INTEGER NOT NULL,
    -- as in runs
    outcome INTEGER NOT NULL,
    part INTEGER NOT NULL,
    -- that ended so, without attempts that were followed by others
    runs INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    fuel INTEGER NOT NULL,
    cpu_ns INTEGER NOT NULL,
    wall_ns INTEGER NOT NULL,
    -- peak of memory times wall time
    memory_kib_ms INTEGER NOT NULL,
    log_bytes INTEGER NOT NULL,
    PRIMARY KEY (workspace, day, outcome, part)
) STRICT, WITHOUT ROWID;

-- What nodes count in memory and add here every second.
CREATE TABLE usage_counts (
    workspace BLOB NOT NULL,
    -- 0: of a minute, 1: of a day
    span INTEGER NOT NULL,
    -- minutes or days since 1970, UTC
    number INTEGER NOT NULL,
    -- accepted
    runs INTEGER NOT NULL,
    bytes_up INTEGER NOT NULL,
    bytes_down INTEGER NOT NULL,
    PRIMARY KEY (workspace, span, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_counts_of_minutes ON usage_counts (number) WHERE span = 0;

-- The last addition of each sender: one whose answer was lost is not made twice.
CREATE TABLE usage_senders (
    sender TEXT NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL,
    sent_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
