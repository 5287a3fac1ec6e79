-- How many keys a scope has, and the row at which those who add or delete one take turns.
CREATE TABLE state_scopes (
    workspace BLOB NOT NULL,
    path TEXT NOT NULL,
    -- empty: runs that no configured trigger started
    trigger TEXT NOT NULL,
    keys INTEGER NOT NULL,
    PRIMARY KEY (workspace, path, trigger)
) STRICT, WITHOUT ROWID;

CREATE TABLE state (
    workspace BLOB NOT NULL,
    path TEXT NOT NULL,
    trigger TEXT NOT NULL,
    -- UTF-8 as bytes, because a script may choose keys with NUL, which PostgreSQL's text may not hold
    key BLOB NOT NULL,
    -- JSON
    value TEXT NOT NULL,
    -- of the value's canonical form: what compare-and-swap compares
    digest BLOB NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (workspace, path, trigger, key)
) STRICT, WITHOUT ROWID;
