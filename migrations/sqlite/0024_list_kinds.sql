-- What an entry of the list of a single path speaks of: scripts, resources, variables or blobs; empty: all that is at the path.
DROP INDEX access_lists_by_who;
ALTER TABLE access_lists RENAME TO access_lists_before;
CREATE TABLE access_lists (
    workspace BLOB NOT NULL,
    path TEXT NOT NULL,
    -- u/NAME or g/NAME
    who TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- 1: reads, 2: writes, 3: owns
    level INTEGER NOT NULL,
    PRIMARY KEY (workspace, path, who, kind)
) STRICT, WITHOUT ROWID;
INSERT INTO access_lists (workspace, path, who, kind, level) SELECT workspace, path, who, '', level FROM access_lists_before;
DROP TABLE access_lists_before;
CREATE INDEX access_lists_by_who ON access_lists (workspace, who);
