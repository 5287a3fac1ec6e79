-- People of the installation. A name is never given to another: whoever goes is disabled, not deleted.
CREATE TABLE users (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- in lower case; NULL: none
    email TEXT COLLATE "C" UNIQUE,
    display_name TEXT NOT NULL,
    -- a PHC string of argon2id; NULL: nobody logs in with one
    password TEXT,
    instance_admin BIGINT NOT NULL,
    disabled BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL
);

-- Who is logged in. Of the secret only the hash is kept.
CREATE TABLE sessions (
    hash BYTEA NOT NULL PRIMARY KEY,
    id BYTEA NOT NULL UNIQUE,
    user_name TEXT COLLATE "C" NOT NULL,
    -- 0: in a cookie, 1: in a header
    carrier BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    idle_until BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_of_user ON sessions (user_name, created_at);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE members (
    workspace BYTEA NOT NULL,
    user_name TEXT COLLATE "C" NOT NULL,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    PRIMARY KEY (workspace, user_name)
);
CREATE INDEX members_by_user ON members (user_name, workspace);

CREATE TABLE people_groups (
    workspace BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (workspace, name)
);

CREATE TABLE group_members (
    workspace BYTEA NOT NULL,
    group_name TEXT COLLATE "C" NOT NULL,
    user_name TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (workspace, group_name, user_name)
);
CREATE INDEX group_members_by_user ON group_members (workspace, user_name);

CREATE TABLE folders (
    workspace BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (workspace, name)
);

-- Who may use what is in a folder, `f/NAME`, or at a single path.
CREATE TABLE access_lists (
    workspace BYTEA NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    -- u/NAME or g/NAME
    who TEXT COLLATE "C" NOT NULL,
    -- 1: reads, 2: writes, 3: owns
    level BIGINT NOT NULL,
    PRIMARY KEY (workspace, path, who)
);
CREATE INDEX access_lists_by_who ON access_lists (workspace, who);

-- Of the secret in a link only the hash is kept.
CREATE TABLE invitations (
    workspace BYTEA NOT NULL,
    id BYTEA NOT NULL,
    hash BYTEA NOT NULL UNIQUE,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- NULL: nobody has used it
    used_by TEXT,
    PRIMARY KEY (workspace, id)
);

-- Who a user is to an issuer of single sign-on; never a name or an address, which it may give to others.
CREATE TABLE subjects (
    issuer TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    user_name TEXT COLLATE "C" NOT NULL,
    linked_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);
CREATE UNIQUE INDEX subjects_of_user ON subjects (user_name, issuer);
