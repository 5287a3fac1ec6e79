-- People of the installation. A name is never given to another: whoever goes is disabled, not deleted.
CREATE TABLE users (
    name TEXT NOT NULL PRIMARY KEY,
    -- in lower case; NULL: none
    email TEXT UNIQUE,
    display_name TEXT NOT NULL,
    -- a PHC string of argon2id; NULL: nobody logs in with one
    password TEXT,
    instance_admin INTEGER NOT NULL,
    disabled INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Who is logged in. Of the secret only the hash is kept.
CREATE TABLE sessions (
    hash BLOB NOT NULL PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    user_name TEXT NOT NULL,
    -- 0: in a cookie, 1: in a header
    carrier INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    idle_until INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_user ON sessions (user_name, created_at);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE members (
    workspace BLOB NOT NULL,
    user_name TEXT NOT NULL,
    role TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (workspace, user_name)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_user ON members (user_name, workspace);

CREATE TABLE people_groups (
    workspace BLOB NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (workspace, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE group_members (
    workspace BLOB NOT NULL,
    group_name TEXT NOT NULL,
    user_name TEXT NOT NULL,
    PRIMARY KEY (workspace, group_name, user_name)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_members_by_user ON group_members (workspace, user_name);

CREATE TABLE folders (
    workspace BLOB NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (workspace, name)
) STRICT, WITHOUT ROWID;

-- Who may use what is in a folder, `f/NAME`, or at a single path.
CREATE TABLE access_lists (
    workspace BLOB NOT NULL,
    path TEXT NOT NULL,
    -- u/NAME or g/NAME
    who TEXT NOT NULL,
    -- 1: reads, 2: writes, 3: owns
    level INTEGER NOT NULL,
    PRIMARY KEY (workspace, path, who)
) STRICT, WITHOUT ROWID;
CREATE INDEX access_lists_by_who ON access_lists (workspace, who);

-- Of the secret in a link only the hash is kept.
CREATE TABLE invitations (
    workspace BLOB NOT NULL,
    id BLOB NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    role TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    -- NULL: nobody has used it
    used_by TEXT,
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;

-- Who a user is to an issuer of single sign-on; never a name or an address, which it may give to others.
CREATE TABLE subjects (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_name TEXT NOT NULL,
    linked_at INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX subjects_of_user ON subjects (user_name, issuer);
