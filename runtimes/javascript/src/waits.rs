//! What a run waits for beside its timers: parts of its HTTP exchanges.

use crate::native::{self, Exchange, Part};
use rquickjs::{Ctx, Function, Persistent, Result};
use std::{
    cell::{Ref, RefCell},
    rc::Rc,
};
use wasip2::io::poll::{self, Pollable};

#[derive(Default)]
pub struct Waits(RefCell<Vec<Wait>>);

struct Wait {
    exchange: Rc<Exchange>,
    part: Part,
    resume: Persistent<Function<'static>>,
}

impl Waits {
    pub fn add(&self, exchange: Rc<Exchange>, part: Part, resume: Persistent<Function<'static>>) {
        self.0.borrow_mut().push(Wait { exchange, part, resume });
    }

    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }

    /// Blocks this component until something is there or the timer is due (negative: there is none), and lets those go on that waited
    /// for it, in the order in which they began to. Says whether the timer is due.
    pub fn turn(&self, ctx: &Ctx<'_>, timer_ms: f64) -> Result<bool> {
        if self.is_empty() {
            native::sleep(timer_ms);
            return Ok(true);
        }
        let waits = self.0.take();
        let (is_ready, is_due) = poll(&waits, timer_ms);
        let (mut ready, mut rest) = (Vec::new(), Vec::new());
        for (wait, is_ready) in waits.into_iter().zip(is_ready) {
            if is_ready { ready.push(wait) } else { rest.push(wait) }
        }
        self.0.replace(rest);
        for wait in ready {
            wait.resume.restore(ctx)?.call::<_, ()>(())?;
        }
        Ok(is_due)
    }
}

/// Which of the waits are over, and whether the timer is due.
fn poll(waits: &[Wait], timer_ms: f64) -> (Vec<bool>, bool) {
    let watched: Vec<Option<Ref<'_, Pollable>>> = waits.iter().map(|wait| wait.exchange.watch(wait.part)).collect();
    if watched.iter().any(Option::is_none) {
        // Parts that ended: whoever waits for one must hear of it.
        return (watched.iter().map(Option::is_none).collect(), false);
    }
    let timer = (timer_ms >= 0.0).then(|| native::timer(timer_ms));
    let pollables: Vec<&Pollable> = watched.iter().flatten().map(|pollable| &**pollable).chain(&timer).collect();
    let mut is_ready = vec![false; waits.len()];
    let mut is_due = false;
    for at in poll::poll(&pollables) {
        match is_ready.get_mut(at as usize) {
            Some(is_ready) => *is_ready = true,
            None => is_due = true,
        }
    }
    (is_ready, is_due)
}
