//! The life of one run, from its store to its outcome: polled within its limits, metered however it ends.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use sandmill_model::{Outcome, Usage};
use tokio::time::Sleep;
use wasmtime::Store;

use crate::{
    admission::Room,
    call::{Ended, Steps},
    control::Control,
    guest::{Core, Guest, HANDLES_MAX},
    machine,
    outcome::{self, End},
};

/// Fuel between two yields: a millisecond of interpreted JavaScript, a quarter of one of tight compiled loops (16 units a
/// nanosecond), some more of code that waits for memory most of the time.
pub(crate) const FUEL_YIELD_INTERVAL: u64 = 4_000_000;
/// Bytes that a guest may pass to one host function, beyond what a result may have.
const HOST_CALL_BYTES_MIN: u64 = 2 * 1024 * 1024;
/// The same of WASI 0.3, where as many values of that size can wait for the guest as it has handles. Bodies of requests are streams, which count by themselves.
const ASYNC_HOST_CALL_BYTES: usize = 128 * 1024;
/// Room for the other parts of a result: an error's name, message and stack.
const HOST_CALL_BYTES_SLACK: u64 = 256 * 1024;

/// Everything that a run starts from.
pub(crate) struct Start<H: 'static> {
    pub(crate) core: Core,
    pub(crate) host: H,
    pub(crate) steps: Steps<H>,
    pub(crate) room: Room,
}

/// Runs to the end. Dropping the future at any point frees the instance.
pub(crate) async fn run<H: Send + 'static>(start: Start<H>) -> Outcome {
    let Start { core, host, steps, room } = start;
    let (began, limits, control) = (core.began, core.limits, Arc::clone(&core.control));
    let mut store = Store::new(steps.program.pre.engine(), Guest { core, host });
    if let Err(error) = bound(&mut store) {
        return Outcome::host_fault(format!("the limits of the run cannot be set: {error}"));
    }
    let mut watch = Watch { control: &control, deadline: began + Duration::from_millis(limits.wall_ms), timer: None, cpu: Duration::ZERO };
    let end = {
        let mut call = pin!(steps.call(&mut store));
        std::future::poll_fn(|cx| watch.poll(cx, call.as_mut())).await
    };
    let cpu = watch.cpu;
    let usage = usage(&store, &end, cpu);
    let core = &mut store.data_mut().core;
    let log = control.log().take(core.clock.now());
    let arguments = core.arguments.take();
    let mut outcome = Outcome { usage, log, arguments, ..outcome::outcome(end, &limits) };
    control.log().finish(&mut outcome);
    // The instance goes back to the pool before its room does.
    drop(store);
    drop(room);
    outcome
}

fn bound<H: Send + 'static>(store: &mut Store<Guest<H>>) -> wasmtime::Result<()> {
    let limits = store.data().core.limits;
    store.limiter_async(|guest| &mut guest.core.limiter);
    store.set_fuel(limits.fuel)?;
    store.fuel_async_yield_interval(Some(FUEL_YIELD_INTERVAL))?;
    let host_call_bytes = limits.result_bytes.max(HOST_CALL_BYTES_MIN).saturating_add(HOST_CALL_BYTES_SLACK);
    store.set_hostcall_fuel(usize::try_from(host_call_bytes).unwrap_or(usize::MAX));
    if let Some(table) = store.concurrent_resource_table() {
        // Tasks, streams and futures are the engine's, on the host's heap, and so is what waits in them.
        table.set_max_capacity(HANDLES_MAX);
        store.set_max_component_handles(HANDLES_MAX);
        store.set_hostcall_fuel(ASYNC_HOST_CALL_BYTES);
        store.epoch_deadline_async_yield_and_update(1);
        store.set_epoch_deadline(1);
    }
    Ok(())
}

fn usage<H>(store: &Store<Guest<H>>, end: &End, cpu: Duration) -> Usage {
    let core = &store.data().core;
    let mut fuel = core.limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0));
    if outcome::is_out_of_fuel(end) {
        fuel = core.limits.fuel;
    } else if outcome::lost_count_of_fuel(end) {
        fuel = fuel.saturating_add(FUEL_YIELD_INTERVAL).min(core.limits.fuel);
    }
    Usage { fuel, memory_peak_bytes: core.limiter.peak_bytes(), cpu_ns: nanoseconds(cpu), wall_ns: nanoseconds(core.began.elapsed()) }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Looks after a call between its polls.
struct Watch<'a> {
    control: &'a Control,
    deadline: Instant,
    /// Only for a call that did not end in its first poll.
    timer: Option<Pin<Box<Sleep>>>,
    cpu: Duration,
}

impl Watch<'_> {
    fn poll(&mut self, cx: &mut Context<'_>, call: Pin<&mut impl Future<Output = wasmtime::Result<Ended>>>) -> Poll<End> {
        if self.control.is_cancelled() {
            return Poll::Ready(End::Cancelled);
        }
        let now = Instant::now();
        if self.timer.is_some() && now >= self.deadline {
            return Poll::Ready(End::Timeout);
        }
        self.control.turn_begins(now);
        let before = machine::thread_time();
        let polled = call.poll(cx);
        self.cpu += machine::thread_time().saturating_sub(before);
        match polled {
            Poll::Ready(Ok(ended)) => Poll::Ready(End::Returned(ended)),
            Poll::Ready(Err(error)) => Poll::Ready(End::Stopped(error)),
            Poll::Pending => self.wait(cx),
        }
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.control.wake_on_cancel(cx.waker());
        if self.control.is_cancelled() {
            return Poll::Ready(End::Cancelled);
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(self.deadline.into())));
        timer.as_mut().poll(cx).map(|()| End::Timeout)
    }
}
