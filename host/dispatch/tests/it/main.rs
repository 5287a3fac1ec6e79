//! Dispatch on a real SQLite with an executor that does what a test says.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;
mod cancel;
mod children;
mod fake;
mod fast_lane;
mod follow;
mod hearing;
mod heartbeat;
mod lanes;
mod queue;
mod requests;
mod run_as;
mod sharing;
mod triggers;
