//! The contract of every trait, on SQLite and on PostgreSQL: each test is written once and runs on both.

mod fixture;
mod history;
mod open;
mod queue;
mod scripts;
mod state;
mod tokens;
mod workspaces;
