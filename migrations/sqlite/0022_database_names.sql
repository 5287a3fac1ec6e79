-- Which path a name of a database of the type `sqlite` belongs to. It stays when the resource goes, as the file does.
CREATE TABLE database_names (
    workspace BLOB NOT NULL,
    name TEXT NOT NULL,
    path TEXT NOT NULL,
    PRIMARY KEY (workspace, name)
) STRICT, WITHOUT ROWID;

-- Until now a name belonged to whoever wrote it down. Of several paths that have the same, folders come before homes, and what was there first
-- before what came later. The others keep their database: see docs/sql.md.
INSERT INTO database_names (workspace, name, path)
SELECT found.workspace, found.name, found.path
FROM (
    SELECT workspace, path, json_extract(fields, '$.name') AS name,
        ROW_NUMBER() OVER (PARTITION BY workspace, json_extract(fields, '$.name') ORDER BY path LIKE 'u/%', updated_at, path) AS place
    FROM resources
    WHERE kind = 'sqlite'
) AS found
WHERE found.place = 1 AND found.name IS NOT NULL;
