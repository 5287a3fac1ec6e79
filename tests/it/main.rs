//! End to end: the built binary, called as its users call it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod api;
mod asynchronous;
mod backup;
mod building;
mod bundling;
mod cancelling;
mod children;
mod commands;
mod components;
mod connections;
mod databases;
mod dev;
mod disk;
mod dispatching;
mod events;
mod examples;
mod failing;
mod fetching;
mod foreign;
mod grants;
mod hostile;
mod isolation;
mod nodes;
mod oci;
mod people;
mod project_tests;
mod read_only;
mod resources;
mod restart;
mod results;
mod scripts;
mod sdks;
mod shared;
mod site;
mod steering;
mod telemetry;
mod terms;
mod torture;
mod tour;
mod upgrade;
