//! The API over HTTP, on a real store and dispatch, with an executor, a builder and a kind of trigger that are played.

mod auth;
mod description;
mod endpoints;
mod limits;
mod observability;
mod problems;
mod runs;
mod scripts;
mod support;
mod zz_speed;
