-- Ends of the chains of the audit log; nil is the installation's. The anchor is the last entry that was let go: the rest follows it.
CREATE TABLE audit_heads (
    workspace BYTEA NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL,
    hash BYTEA NOT NULL,
    anchor_number BIGINT NOT NULL,
    anchor_hash BYTEA NOT NULL
);

CREATE TABLE audit_entries (
    workspace BYTEA NOT NULL,
    -- from 1
    number BIGINT NOT NULL,
    id BYTEA NOT NULL,
    recorded_at BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    identity TEXT,
    token BYTEA,
    address TEXT,
    user_agent TEXT,
    request_id TEXT NOT NULL,
    operation TEXT COLLATE "C" NOT NULL,
    target TEXT COLLATE "C" NOT NULL,
    outcome TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    -- JSON
    value_before TEXT,
    value_after TEXT,
    previous BYTEA NOT NULL,
    hash BYTEA NOT NULL,
    PRIMARY KEY (workspace, number)
);

-- What was begun and has no entry yet. A row is gone once there is one.
CREATE TABLE audit_begun (
    workspace BYTEA NOT NULL,
    id BYTEA NOT NULL,
    begun_at BIGINT NOT NULL,
    -- JSON
    record TEXT NOT NULL,
    PRIMARY KEY (workspace, id)
);
CREATE INDEX audit_begun_by_age ON audit_begun (begun_at);
