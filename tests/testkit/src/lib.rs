//! What the tests stand on: the built binary, real databases and brokers, guests.
pub mod binary;
pub mod guests;
pub mod postgres;
pub mod process;
pub mod server;
pub mod wasmtime;
