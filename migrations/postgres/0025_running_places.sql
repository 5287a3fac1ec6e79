-- Places of workspaces that may have only so many runs at once, leased by nodes for runs that are not in the queue.
CREATE TABLE running_places (
    workspace BYTEA NOT NULL,
    -- its incarnation: the lease ends with that life
    node BIGINT NOT NULL,
    places BIGINT NOT NULL,
    -- of the exchange that was written last: one that was overtaken on its way changes nothing
    number BIGINT NOT NULL,
    -- when it wanted more than there was, as its last sign of life before said; NULL: it has what it needs
    asked_at BIGINT,
    PRIMARY KEY (workspace, node)
);
CREATE INDEX running_places_of_nodes ON running_places (node);
