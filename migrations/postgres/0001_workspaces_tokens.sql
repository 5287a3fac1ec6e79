-- Ids are UUIDv7 as 16 bytes, times microseconds since 1970 UTC. Every key starts with the workspace's id, but for tokens:
-- a token is looked up before it is known whose it is.

CREATE TABLE workspaces (
    id BYTEA NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE tokens (
    hash BYTEA NOT NULL PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE,
    -- NULL: every workspace
    workspace BYTEA,
    identity TEXT NOT NULL,
    -- JSON array of scopes as text
    scopes TEXT NOT NULL,
    label TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
