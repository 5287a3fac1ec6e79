//! The contract of every trait, on SQLite and on PostgreSQL: each test is written once and runs on both.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod answers;
mod audit;
mod children;
mod claims;
mod commits;
mod deliveries;
mod fixture;
mod grants;
mod history;
mod keys;
mod lists;
mod logs;
mod nodes;
mod objects;
mod open;
mod people;
mod places;
mod plans;
mod queue;
mod rates;
mod reach;
mod removal;
mod resource_types;
mod resources;
mod retention;
mod rotation;
mod scripts;
mod seats;
mod service_accounts;
mod signals;
mod simulation;
mod state;
mod subjects;
mod tokens;
mod triggers;
mod upgrade;
mod usage;
mod variables;
mod workspaces;
