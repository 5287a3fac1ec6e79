-- Many workspaces: which of them may be used, what each may use, and what it has used.

-- 0 active, 1 archived: nothing new starts, 2 being deleted
ALTER TABLE workspaces ADD COLUMN status BIGINT NOT NULL DEFAULT 0;
-- NULL: since it was made
ALTER TABLE workspaces ADD COLUMN status_since BIGINT;
-- NULL: none
ALTER TABLE workspaces ADD COLUMN plan TEXT COLLATE "C";
-- JSON object: quotas in the place of the plan's; null: without limit
ALTER TABLE workspaces ADD COLUMN overrides TEXT NOT NULL DEFAULT '{}';
CREATE INDEX workspaces_by_plan ON workspaces (plan) WHERE plan IS NOT NULL;
CREATE INDEX workspaces_being_deleted ON workspaces (status_since, id) WHERE status = 2;

-- Named sets of quotas.
CREATE TABLE plans (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- JSON object; what is not there is without limit
    quotas TEXT NOT NULL,
    description TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL
);

-- Workspaces that are gone: for a while, what their last runs still wrote is looked for.
CREATE TABLE deleted_workspaces (
    id BYTEA NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    deleted_at BIGINT NOT NULL
);

-- What attempts have used, written with their ends. `part` is whoever writes: several at once do not wait for each other; sums are over all.
CREATE TABLE usage_runs (
    workspace BYTEA NOT NULL,
    -- since 1970, UTC, in which the attempt ended
    day BIGINT NOT NULL,
    -- as in runs
    outcome BIGINT NOT NULL,
    part BIGINT NOT NULL,
    -- that ended so, without attempts that were followed by others
    runs BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    fuel BIGINT NOT NULL,
    cpu_ns BIGINT NOT NULL,
    wall_ns BIGINT NOT NULL,
    -- peak of memory times wall time
    memory_kib_ms BIGINT NOT NULL,
    log_bytes BIGINT NOT NULL,
    PRIMARY KEY (workspace, day, outcome, part)
) WITH (fillfactor = 50);

-- What nodes count in memory and add here every second.
CREATE TABLE usage_counts (
    workspace BYTEA NOT NULL,
    -- 0: of a minute, 1: of a day
    span BIGINT NOT NULL,
    -- minutes or days since 1970, UTC
    number BIGINT NOT NULL,
    -- accepted
    runs BIGINT NOT NULL,
    bytes_up BIGINT NOT NULL,
    bytes_down BIGINT NOT NULL,
    PRIMARY KEY (workspace, span, number)
) WITH (fillfactor = 50);
CREATE INDEX usage_counts_of_minutes ON usage_counts (number) WHERE span = 0;

-- The last addition of each sender: one whose answer was lost is not made twice.
CREATE TABLE usage_senders (
    sender TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL,
    sent_at BIGINT NOT NULL
);
