-- Usage: bytes of arguments, events and results of runs, and of objects. And names of databases that were never opened, which are given back.

-- Of runs that ended: arguments and events; results and errors.
ALTER TABLE usage_runs ADD COLUMN input_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_runs ADD COLUMN result_bytes INTEGER NOT NULL DEFAULT 0;

-- Of runs that were accepted, where there is a limit.
ALTER TABLE usage_counts ADD COLUMN input_bytes INTEGER NOT NULL DEFAULT 0;

-- Objects are measured apart from all else.
ALTER TABLE usage_days ADD COLUMN object_samples INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN object_bytes_sum INTEGER NOT NULL DEFAULT 0;

-- 1 once a run is about to open the database: its file may be there. Of names that are there already nobody knows.
ALTER TABLE database_names ADD COLUMN opened INTEGER NOT NULL DEFAULT 1;
-- Resources that have the name, of those that were put since. At 0 a name that was not opened is given back.
ALTER TABLE database_names ADD COLUMN uses INTEGER NOT NULL DEFAULT 0;
