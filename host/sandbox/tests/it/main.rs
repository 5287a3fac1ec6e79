//! The sandbox against guests that do their worst.

mod cache;
mod cancel;
mod fairness;
mod isolation;
mod leaks;
mod limits;
mod linking;
mod log;
mod outcomes;
mod preprocess;
mod testing;
