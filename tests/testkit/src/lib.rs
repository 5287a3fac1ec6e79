//! What the tests stand on: the built binary, real databases and brokers, guests.
pub mod binary;
pub mod server;
pub mod process;
