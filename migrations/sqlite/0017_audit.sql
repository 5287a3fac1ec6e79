-- Ends of the chains of the audit log; nil is the installation's. The anchor is the last entry that was let go: the rest follows it.
CREATE TABLE audit_heads (
    workspace BLOB NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL,
    hash BLOB NOT NULL,
    anchor_number INTEGER NOT NULL,
    anchor_hash BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_entries (
    workspace BLOB NOT NULL,
    -- from 1
    number INTEGER NOT NULL,
    id BLOB NOT NULL,
    recorded_at INTEGER NOT NULL,
    actor_kind TEXT NOT NULL,
    identity TEXT,
    token BLOB,
    address TEXT,
    user_agent TEXT,
    request_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    -- JSON
    value_before TEXT,
    value_after TEXT,
    previous BLOB NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (workspace, number)
) STRICT, WITHOUT ROWID;

-- What was begun and has no entry yet. A row is gone once there is one.
CREATE TABLE audit_begun (
    workspace BLOB NOT NULL,
    id BLOB NOT NULL,
    begun_at INTEGER NOT NULL,
    -- JSON
    record TEXT NOT NULL,
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_begun_by_age ON audit_begun (begun_at);
