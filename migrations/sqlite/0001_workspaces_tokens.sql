-- Ids are UUIDv7 as 16 bytes, times microseconds since 1970 UTC. Every key starts with the workspace's id, but for tokens:
-- a token is looked up before it is known whose it is.

CREATE TABLE workspaces (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    hash BLOB NOT NULL PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    -- NULL: every workspace
    workspace BLOB,
    identity TEXT NOT NULL,
    -- JSON array of scopes as text
    scopes TEXT NOT NULL,
    label TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
