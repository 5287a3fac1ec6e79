-- Bills: what workspaces keep, and which plan they have, by day.

-- Samples of what a workspace keeps, added up: what is told of a day is their average.
CREATE TABLE usage_days (
    workspace BYTEA NOT NULL,
    -- since 1970, UTC
    day BIGINT NOT NULL,
    -- at the last sample; NULL: none
    plan TEXT COLLATE "C",
    samples BIGINT NOT NULL,
    stored_bytes_sum BIGINT NOT NULL,
    sampled_at BIGINT NOT NULL,
    PRIMARY KEY (workspace, day)
);
