-- JSON object: what the operator set for the workspace; what is not there is as the installation says.
ALTER TABLE workspaces ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
