//! Whether the world is open: it is closed while the top level of a script is evaluated, because what
//! the top level sees would be frozen into a snapshot and be the same in every run.

use rquickjs::{Ctx, Exception, Result};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static OPEN: AtomicBool = AtomicBool::new(false);

pub fn open() {
    OPEN.store(true, Relaxed);
}

pub fn is_open() -> bool {
    OPEN.load(Relaxed)
}

/// Throws unless `main` or `preprocessor` runs. `what` names what was asked for.
pub fn require_open(ctx: &Ctx<'_>, what: &str) -> Result<()> {
    if is_open() {
        return Ok(());
    }
    let message = format!("{what} is not available at the top level of a script; use it inside main");
    Err(Exception::throw_message(ctx, &message))
}
