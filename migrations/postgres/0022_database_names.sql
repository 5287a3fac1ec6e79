-- Which path a name of a database of the type `sqlite` belongs to. It stays when the resource goes, as the file does.
CREATE TABLE database_names (
    workspace BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (workspace, name)
);

-- Until now a name belonged to whoever wrote it down. Of several paths that have the same, folders come before homes, and what was there first
-- before what came later. The others keep their database: see docs/sql.md.
INSERT INTO database_names (workspace, name, path)
SELECT found.workspace, found.name, found.path
FROM (
    SELECT named.workspace, named.path, named.name,
        ROW_NUMBER() OVER (PARTITION BY named.workspace, named.name ORDER BY named.path LIKE 'u/%', named.updated_at, named.path) AS place
    FROM (SELECT workspace, path, updated_at, fields::JSONB ->> 'name' AS name FROM resources WHERE kind = 'sqlite') AS named
) AS found
WHERE found.place = 1 AND found.name IS NOT NULL;
