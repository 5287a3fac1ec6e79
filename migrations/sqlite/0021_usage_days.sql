-- Bills: what workspaces keep, and which plan they have, by day.

-- Samples of what a workspace keeps, added up: what is told of a day is their average.
CREATE TABLE usage_days (
    workspace BLOB NOT NULL,
    -- since 1970, UTC
    day INTEGER NOT NULL,
    -- at the last sample; NULL: none
    plan TEXT,
    samples INTEGER NOT NULL,
    stored_bytes_sum INTEGER NOT NULL,
    sampled_at INTEGER NOT NULL,
    PRIMARY KEY (workspace, day)
) STRICT, WITHOUT ROWID;
