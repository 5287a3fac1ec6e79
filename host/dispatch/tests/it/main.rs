//! Dispatch on a real SQLite with an executor that does what a test says.

mod fake;
mod fast_lane;
mod queue;
