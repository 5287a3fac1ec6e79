-- Places of workspaces that may have only so many runs at once, leased by nodes for runs that are not in the queue.
CREATE TABLE running_places (
    workspace BLOB NOT NULL,
    -- its incarnation: the lease ends with that life
    node INTEGER NOT NULL,
    places INTEGER NOT NULL,
    -- of the exchange that was written last: one that was overtaken on its way changes nothing
    number INTEGER NOT NULL,
    -- when it wanted more than there was, as its last sign of life before said; NULL: it has what it needs
    asked_at INTEGER,
    PRIMARY KEY (workspace, node)
) STRICT, WITHOUT ROWID;
CREATE INDEX running_places_of_nodes ON running_places (node);
