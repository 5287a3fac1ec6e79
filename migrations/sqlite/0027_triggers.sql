-- Triggers that are configured, who listens, and events that are no runs.

CREATE TABLE triggers (
    workspace BLOB NOT NULL,
    path TEXT NOT NULL,
    -- never another's, not even of a later trigger at the same path
    id BLOB NOT NULL,
    kind TEXT NOT NULL,
    -- path of the script that its events start
    target TEXT NOT NULL,
    -- JSON object, with references in the place of what is secret
    config TEXT NOT NULL,
    -- JSON object: what all kinds have in common
    options TEXT NOT NULL,
    -- 0 on, 1 off, 2 held, 3 capture
    mode INTEGER NOT NULL,
    description TEXT NOT NULL,
    -- whoever set it up: its runs act as they do, unless the options name another, whom they must be allowed to use
    answered_by TEXT NOT NULL,
    -- grows with each change, also over deletion
    revision INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (workspace, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX triggers_of_kind ON triggers (workspace, kind, path);
CREATE INDEX triggers_of_target ON triggers (workspace, target, path);
CREATE INDEX triggers_homes ON triggers (path) WHERE substr(path, 1, 2) = 'u/';

-- What a trigger takes and no other of its workspace and kind may: a method and the shape of a pattern, or a script.
CREATE TABLE trigger_endpoints (
    workspace BLOB NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    path TEXT NOT NULL,
    PRIMARY KEY (workspace, kind, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX trigger_endpoints_of_triggers ON trigger_endpoints (workspace, path);

-- Places of listeners, as many as a trigger has: each is taken by one node, and given anew when that dies.
CREATE TABLE seats (
    workspace BLOB NOT NULL,
    path TEXT NOT NULL,
    number INTEGER NOT NULL,
    -- of the trigger, as it was saved last: whoever listens by another begins anew
    revision INTEGER NOT NULL,
    -- its incarnation: the lease ends with that life; NULL: free; 0: shut, because the trigger is off
    node INTEGER,
    -- grows with each time that it is taken
    fence INTEGER NOT NULL,
    -- JSON: where whoever takes it goes on
    cursor TEXT,
    -- 0 free, 1 starting, 2 listening, 3 backing off, 4 misconfigured, 5 paused
    state INTEGER NOT NULL,
    -- JSON object: the rest of how it fares
    status TEXT NOT NULL,
    PRIMARY KEY (workspace, path, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX seats_free ON seats (workspace, path, number) WHERE node IS NULL;
CREATE INDEX seats_of_nodes ON seats (node) WHERE node IS NOT NULL;

-- Events that started no run.
CREATE TABLE trigger_events (
    workspace BLOB NOT NULL,
    path TEXT NOT NULL,
    id BLOB NOT NULL,
    -- 0 captured, 1 dead: it can be no run as it is
    state INTEGER NOT NULL,
    -- JSON object
    event TEXT NOT NULL,
    -- JSON object: the event's trigger and keys
    origin TEXT NOT NULL,
    -- NULL: it was too large to be kept
    payload BLOB,
    payload_bytes INTEGER NOT NULL,
    -- why it is dead
    reason TEXT,
    PRIMARY KEY (workspace, path, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX trigger_events_by_age ON trigger_events (id);

-- What runs wrote to their state that is to become so with what is made of their result. NULL: it is deleted.
CREATE TABLE staged_state (
    workspace BLOB NOT NULL,
    run BLOB NOT NULL,
    -- whose state it is to be: a script's, for a trigger
    path TEXT NOT NULL,
    trigger TEXT NOT NULL,
    key BLOB NOT NULL,
    value TEXT,
    PRIMARY KEY (workspace, run, key)
) STRICT, WITHOUT ROWID;

-- Path of the trigger; NULL: none that is configured. In the queue a state more: 4 held, until it is released or discarded.
ALTER TABLE queue ADD COLUMN trigger_path TEXT;
CREATE INDEX queue_of_triggers ON queue (workspace, trigger_path, id) WHERE trigger_path IS NOT NULL;
ALTER TABLE runs ADD COLUMN trigger_path TEXT;
