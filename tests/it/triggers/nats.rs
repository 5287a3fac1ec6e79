//! NATS: what a stream keeps until it is acknowledged, and what whoever listens hears.

mod broker;
mod jetstream;
mod subjects;
