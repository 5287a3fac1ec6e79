//! Progress and output, captured; without a world they are dropped.

use crate::testing::world;

pub(crate) fn progress(percent: f64, text: &str) {
    if let Ok(world) = world::current() {
        world.recorded.borrow_mut().progress.push((percent, text.to_owned()));
    }
}

pub(crate) fn write(chunk: &[u8]) {
    if let Ok(world) = world::current() {
        world.recorded.borrow_mut().output.extend(chunk);
    }
}
