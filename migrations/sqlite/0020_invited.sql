-- 1: made by a token of the installation that acts as no user; it needs nobody who administers the workspace.
ALTER TABLE invitations ADD COLUMN by_operator INTEGER NOT NULL DEFAULT 0;
-- 1: an issuer of single sign-on has known the user, or an admin has said that none does: an address links them no more.
ALTER TABLE users ADD COLUMN was_linked INTEGER NOT NULL DEFAULT 0;
UPDATE users SET was_linked = 1 WHERE name IN (SELECT user_name FROM subjects);
-- The workspace whose invitation the user was made by; NULL: another way.
ALTER TABLE users ADD COLUMN brought_by BLOB;
CREATE INDEX users_brought_by ON users (brought_by) WHERE brought_by IS NOT NULL;
CREATE INDEX tokens_by_identity ON tokens (identity);
