-- How many keys a scope has, and the row at which those who add or delete one take turns.
CREATE TABLE state_scopes (
    workspace BYTEA NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    -- empty: runs that no configured trigger started
    trigger TEXT COLLATE "C" NOT NULL,
    keys BIGINT NOT NULL,
    PRIMARY KEY (workspace, path, trigger)
);

CREATE TABLE state (
    workspace BYTEA NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    trigger TEXT COLLATE "C" NOT NULL,
    -- UTF-8 as bytes, because a script may choose keys with NUL, which PostgreSQL's text may not hold
    key BYTEA NOT NULL,
    -- JSON
    value TEXT NOT NULL,
    -- of the value's canonical form: what compare-and-swap compares
    digest BYTEA NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (workspace, path, trigger, key)
);
