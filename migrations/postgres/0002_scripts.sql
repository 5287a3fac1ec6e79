-- Bytes of uploaded components, once by digest.
CREATE TABLE components (
    workspace BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    bytes BYTEA NOT NULL,
    PRIMARY KEY (workspace, digest)
);

-- Immutable contents of scripts, named by the digest of source, manifest and language.
CREATE TABLE versions (
    workspace BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    language TEXT NOT NULL,
    -- UTF-8 as bytes, because source may hold NUL, which PostgreSQL's text may not; NULL for a component
    source BYTEA,
    -- JSON
    manifest TEXT NOT NULL,
    schema TEXT NOT NULL,
    program TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (workspace, digest)
);

-- One row a path. Two that deploy it at once take turns at this row.
CREATE TABLE scripts (
    workspace BYTEA NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    -- the newest deployment's number; 0 only within the transaction that makes the first
    newest BIGINT NOT NULL,
    PRIMARY KEY (workspace, path)
);

CREATE TABLE deployments (
    workspace BYTEA NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    version BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (workspace, path, number)
);
