//! The traits on SQLite and PostgreSQL.
