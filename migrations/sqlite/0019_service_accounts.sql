-- As whom runs act that are nobody's own. Who may use one is in `access_lists` at `s/NAME`, as readers.
CREATE TABLE service_accounts (
    workspace BLOB NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    -- a JSON array of what its runs may do at most
    scopes TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (workspace, name)
) STRICT, WITHOUT ROWID;
