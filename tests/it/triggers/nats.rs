//! NATS: what a stream keeps until it is acknowledged, and what whoever listens hears.

mod jetstream;
mod subjects;
