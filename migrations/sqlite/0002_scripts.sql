-- Bytes of uploaded components, once by digest.
CREATE TABLE components (
    workspace BLOB NOT NULL,
    digest BLOB NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (workspace, digest)
) STRICT;

-- Immutable contents of scripts, named by the digest of source, manifest and language.
CREATE TABLE versions (
    workspace BLOB NOT NULL,
    digest BLOB NOT NULL,
    language TEXT NOT NULL,
    -- UTF-8 as bytes, because source may hold NUL, which PostgreSQL's text may not; NULL for a component
    source BLOB,
    -- JSON
    manifest TEXT NOT NULL,
    schema TEXT NOT NULL,
    program TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (workspace, digest)
) STRICT;

-- One row a path. Two that deploy it at once take turns at this row.
CREATE TABLE scripts (
    workspace BLOB NOT NULL,
    path TEXT NOT NULL,
    -- the newest deployment's number; 0 only within the transaction that makes the first
    newest INTEGER NOT NULL,
    PRIMARY KEY (workspace, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE deployments (
    workspace BLOB NOT NULL,
    path TEXT NOT NULL,
    number INTEGER NOT NULL,
    version BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (workspace, path, number)
) STRICT, WITHOUT ROWID;
