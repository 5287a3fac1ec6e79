//! The thread that build workers are children of. A worker asks the kernel to be killed when the *thread* that started it
//! ends, so that thread must live as long as the compiler, which threads of an async runtime do not promise.

use std::{
    io,
    sync::mpsc::{SyncSender, sync_channel},
    thread,
};

use tokio::{
    process::{Child, Command},
    runtime::Handle,
    sync::oneshot,
};

/// Orders that may wait at once.
const ORDERS_MAX: usize = 64;

struct Order {
    command: Command,
    runtime: Handle,
    answer: oneshot::Sender<io::Result<Child>>,
}

/// The thread ends when this is dropped, and with it every worker that is left.
pub(crate) struct Spawner(Option<SyncSender<Order>>);

impl Spawner {
    pub(crate) fn start() -> Self {
        let (sender, orders) = sync_channel::<Order>(ORDERS_MAX);
        let thread = thread::Builder::new().name("build-spawner".to_owned()).spawn(move || {
            for mut order in orders {
                let _guard = order.runtime.enter();
                // Whoever ordered may have gone; the child is then killed as it is dropped.
                let _ = order.answer.send(order.command.spawn());
            }
        });
        Self(thread.ok().map(|_| sender))
    }

    pub(crate) async fn spawn(&self, command: Command) -> io::Result<Child> {
        let gone = || io::Error::other("the thread that starts build workers has ended");
        let (answer, child) = oneshot::channel();
        let order = Order { command, runtime: Handle::current(), answer };
        self.0.as_ref().ok_or_else(gone)?.try_send(order).map_err(io::Error::other)?;
        child.await.map_err(|_| gone())?
    }
}
