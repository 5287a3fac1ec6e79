-- Data keys of workspaces, each wrapped by an instance key, which is in no database. The greatest number seals what is written now; the nil
-- workspace's seals nothing, and shows to other nodes which instance key is in use.
CREATE TABLE workspace_keys (
    workspace BLOB NOT NULL,
    number INTEGER NOT NULL,
    -- id of the instance key
    wrapped_by TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (workspace, number)
) STRICT, WITHOUT ROWID;

-- Types that are a workspace's own; those that all have are in the binary.
CREATE TABLE resource_types (
    workspace BLOB NOT NULL,
    name TEXT NOT NULL,
    -- JSON
    schema TEXT NOT NULL,
    description TEXT NOT NULL,
    -- grows with each change of the type
    revision INTEGER NOT NULL,
    -- grows with each change of a resource of the type: who changes the type has looked at all of them
    uses INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (workspace, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE resources (
    workspace BLOB NOT NULL,
    path TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- JSON: what is not secret
    fields TEXT NOT NULL,
    -- JSON array: pointers of what is, which `sealed` holds
    secrets TEXT NOT NULL,
    -- of the data key that seals it; NULL: there are no secrets
    key_number INTEGER,
    sealed BLOB,
    description TEXT NOT NULL,
    -- grows with each change, also over deletion
    revision INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (workspace, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX resources_of_kind ON resources (workspace, kind, path);

CREATE TABLE variables (
    workspace BLOB NOT NULL,
    path TEXT NOT NULL,
    -- NULL: it is secret, and sealed
    text TEXT,
    key_number INTEGER,
    sealed BLOB,
    description TEXT NOT NULL,
    revision INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (workspace, path)
) STRICT, WITHOUT ROWID;

-- What was granted to a script: for the deployment that was the newest then, and those after it. Nobody judged what was deployed before.
CREATE TABLE grants (
    workspace BLOB NOT NULL,
    path TEXT NOT NULL,
    -- e.g. runs:f/demo/*
    granted TEXT NOT NULL,
    granted_by TEXT NOT NULL,
    granted_at INTEGER NOT NULL,
    since_number INTEGER NOT NULL,
    PRIMARY KEY (workspace, path, granted)
) STRICT, WITHOUT ROWID;

-- Until now a deployment granted what its manifest asked for.
INSERT OR IGNORE INTO grants (workspace, path, granted, granted_by, granted_at, since_number)
SELECT d.workspace, d.path, 'runs:' || pattern.value, d.created_by, d.created_at, d.number
FROM scripts s
JOIN deployments d ON d.workspace = s.workspace AND d.path = s.path AND d.number = s.newest
JOIN versions v ON v.workspace = d.workspace AND v.digest = d.version
JOIN json_each(v.manifest, '$.grants.runs') pattern;
