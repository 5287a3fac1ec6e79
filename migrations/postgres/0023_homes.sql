-- What is in somebody's home, of all workspaces: whether a name is free is one look into each, however many workspaces there are.
CREATE INDEX scripts_homes ON scripts (path) WHERE substr(path, 1, 2) = 'u/';
CREATE INDEX resources_homes ON resources (path) WHERE substr(path, 1, 2) = 'u/';
CREATE INDEX variables_homes ON variables (path) WHERE substr(path, 1, 2) = 'u/';
