-- Data keys of workspaces, each wrapped by an instance key, which is in no database. The greatest number seals what is written now; the nil
-- workspace's seals nothing, and shows to other nodes which instance key is in use.
CREATE TABLE workspace_keys (
    workspace BYTEA NOT NULL,
    number BIGINT NOT NULL,
    -- id of the instance key
    wrapped_by TEXT NOT NULL,
    wrapped BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace, number)
);

-- Types that are a workspace's own; those that all have are in the binary.
CREATE TABLE resource_types (
    workspace BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    -- JSON
    schema TEXT NOT NULL,
    description TEXT NOT NULL,
    -- grows with each change of the type
    revision BIGINT NOT NULL,
    -- grows with each change of a resource of the type: who changes the type has looked at all of them
    uses BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (workspace, name)
);

CREATE TABLE resources (
    workspace BYTEA NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    -- JSON: what is not secret
    fields TEXT NOT NULL,
    -- JSON array: pointers of what is, which `sealed` holds
    secrets TEXT NOT NULL,
    -- of the data key that seals it; NULL: there are no secrets
    key_number BIGINT,
    sealed BYTEA,
    description TEXT NOT NULL,
    -- grows with each change, also over deletion
    revision BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (workspace, path)
);
CREATE INDEX resources_of_kind ON resources (workspace, kind, path);

CREATE TABLE variables (
    workspace BYTEA NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    -- NULL: it is secret, and sealed
    text TEXT,
    key_number BIGINT,
    sealed BYTEA,
    description TEXT NOT NULL,
    revision BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (workspace, path)
);

-- What was granted to a script: for the deployment that was the newest then, and those after it. Nobody judged what was deployed before.
CREATE TABLE grants (
    workspace BYTEA NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    -- e.g. runs:f/demo/*
    granted TEXT COLLATE "C" NOT NULL,
    granted_by TEXT NOT NULL,
    granted_at BIGINT NOT NULL,
    since_number BIGINT NOT NULL,
    PRIMARY KEY (workspace, path, granted)
);

-- Until now a deployment granted what its manifest asked for. The JSON of these manifests may hold the character NUL in a description, which
-- PostgreSQL's own functions for JSON refuse; patterns have none.
INSERT INTO grants (workspace, path, granted, granted_by, granted_at, since_number)
SELECT d.workspace, d.path, 'runs:' || pattern.value, d.created_by, d.created_at, d.number
FROM scripts s
JOIN deployments d ON d.workspace = s.workspace AND d.path = s.path AND d.number = s.newest
JOIN versions v ON v.workspace = d.workspace AND v.digest = d.version
CROSS JOIN LATERAL jsonb_array_elements_text(
    COALESCE(replace(replace(v.manifest, '\\', '\u005c'), '\u0000', '')::JSONB #> '{grants,runs}', '[]')
) AS pattern (value)
ON CONFLICT DO NOTHING;
