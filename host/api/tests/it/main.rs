//! The API over HTTP, on a real store and dispatch, with an executor, a builder and a kind of trigger that are played.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it must be")]

mod audit;
mod auth;
mod description;
mod endpoints;
mod events;
mod grants;
mod guard;
mod hosts;
mod limits;
mod mount;
mod observability;
mod people;
mod problems;
mod resources;
mod results;
mod runs;
mod scopes;
mod scripts;
mod service_accounts;
mod settings;
mod single_sign_on;
mod support;
mod tokens;
mod triggers;
mod workspaces;
