-- Dispatch over many nodes: leases that name an incarnation of a node, what is ready apart from what is not, keys, retries.

-- Nodes that live, or lived a moment ago.
CREATE TABLE nodes (
    -- counts up with every start of every node; a lease names it, so that a node that was thought dead cannot write with its old ones
    incarnation INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    -- JSON: address, roles, tags, slots, release
    about TEXT NOT NULL,
    -- runs that execute there, as it said at its last sign of life
    running INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    seen_at INTEGER NOT NULL,
    -- past it the others take its runs
    alive_until INTEGER NOT NULL
) STRICT;

DROP INDEX queue_ready;
DROP INDEX queue_leased;
-- 0 ready, 1 delayed (until due_at), 2 parked (until a key is free), 3 running
ALTER TABLE queue ADD COLUMN state INTEGER NOT NULL DEFAULT 0;
-- when it may start: scheduled_for, or the next try
ALTER TABLE queue ADD COLUMN due_at INTEGER NOT NULL DEFAULT 0;
UPDATE queue SET due_at = scheduled_for;
ALTER TABLE queue ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
-- only nodes that serve the tag run it
ALTER TABLE queue ADD COLUMN tag TEXT NOT NULL DEFAULT '';
-- nodes that died while they ran it
ALTER TABLE queue ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
-- the incarnation that runs it
ALTER TABLE queue ADD COLUMN lease INTEGER;
-- JSON: retry, keys, time limit; NULL where nothing was said
ALTER TABLE queue ADD COLUMN policy TEXT;
-- how many of its keys it holds, in their order, and for which of them it is parked
ALTER TABLE queue ADD COLUMN keys_held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE queue ADD COLUMN waits_for BLOB;
-- What ran when the old release stopped is tried again.
ALTER TABLE queue DROP COLUMN lease_node;
ALTER TABLE queue DROP COLUMN lease_until;

-- What can be claimed, in the order in which it is.
CREATE INDEX queue_ready ON queue (workspace, tag, priority DESC, due_at, id) WHERE state = 0;
-- What becomes ready by itself.
CREATE INDEX queue_delayed ON queue (due_at) WHERE state = 1;
-- Who is next when a key is free.
CREATE INDEX queue_parked ON queue (workspace, waits_for, id) WHERE state = 2;
-- What executes: never more than all nodes have slots, so that what one of them holds is found by looking through it.
CREATE INDEX queue_running ON queue (workspace, id) WHERE state = 3;

-- Keys that runs hold. None holds a key that is not here.
CREATE TABLE queue_keys (
    workspace BLOB NOT NULL,
    key BLOB NOT NULL,
    held INTEGER NOT NULL,
    PRIMARY KEY (workspace, key)
) STRICT, WITHOUT ROWID;

-- Keys by which a repetition is known.
CREATE TABLE dedup_keys (
    workspace BLOB NOT NULL,
    -- whose keys they are: a trigger's, or a caller's for one path
    scope TEXT NOT NULL,
    key BLOB NOT NULL,
    -- of what was asked for, so that another request with the same key is told apart; empty: nobody asks
    fingerprint BLOB NOT NULL,
    run BLOB NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (workspace, scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX dedup_keys_expired ON dedup_keys (expires_at);
