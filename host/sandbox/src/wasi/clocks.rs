//! `wasi:clocks`: the wall clock is the sandbox's, the monotonic one counts from the start of the run.

use std::time::Duration;

use tokio::time::Instant;
use wasmtime::{Result, component::Resource};
use wasmtime_wasi::{
    async_trait,
    p2::{
        DynPollable, Pollable,
        bindings::clocks::{monotonic_clock, wall_clock},
        subscribe,
    },
};

use crate::guest::{Core, Pace};

/// Times are microseconds.
const WALL_RESOLUTION_NS: u32 = 1_000;
const MONOTONIC_RESOLUTION_NS: u64 = 1;

impl wall_clock::Host for Core {
    fn now(&mut self) -> Result<wall_clock::Datetime> {
        let micros = u64::try_from(self.clock.now().micros()).unwrap_or(0);
        let nanoseconds = u32::try_from(micros % 1_000_000).unwrap_or(0) * 1_000;
        Ok(wall_clock::Datetime { seconds: micros / 1_000_000, nanoseconds })
    }

    fn resolution(&mut self) -> Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: WALL_RESOLUTION_NS })
    }
}

impl monotonic_clock::Host for Core {
    fn now(&mut self) -> Result<u64> {
        Ok(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn resolution(&mut self) -> Result<u64> {
        Ok(MONOTONIC_RESOLUTION_NS)
    }

    fn subscribe_instant(&mut self, when: u64) -> Result<Resource<DynPollable>> {
        self.wake_at(Instant::from_std(self.began).checked_add(Duration::from_nanos(when)))
    }

    fn subscribe_duration(&mut self, duration: u64) -> Result<Resource<DynPollable>> {
        self.wake_at(Instant::now().checked_add(Duration::from_nanos(duration)))
    }
}

impl Core {
    /// None: further away than can be said, so never.
    fn wake_at(&mut self, at: Option<Instant>) -> Result<Resource<DynPollable>> {
        let alarm = self.table.push(Alarm { at, has_yielded: false })?;
        subscribe(&mut self.table, alarm)
    }
}

struct Alarm {
    at: Option<Instant>,
    has_yielded: bool,
}

#[async_trait]
impl Pollable for Alarm {
    async fn ready(&mut self) {
        match self.at {
            None => std::future::pending().await,
            Some(at) if at <= Instant::now() => {
                // A guest that polls in a loop, with a time-out of zero, lets others have their turn.
                if !self.has_yielded {
                    self.has_yielded = true;
                    Pace::Yield.await;
                }
            }
            Some(at) => tokio::time::sleep_until(at).await,
        }
    }
}
