-- What an entry of the list of a single path speaks of: scripts, resources, variables or blobs; empty: all that is at the path.
ALTER TABLE access_lists ADD COLUMN kind TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE access_lists DROP CONSTRAINT access_lists_pkey;
ALTER TABLE access_lists ADD PRIMARY KEY (workspace, path, who, kind);
