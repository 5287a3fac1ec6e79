-- As whom runs act that are nobody's own. Who may use one is in `access_lists` at `s/NAME`, as readers.
CREATE TABLE service_accounts (
    workspace BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT NOT NULL,
    -- a JSON array of what its runs may do at most
    scopes TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (workspace, name)
);
