//! Child processes that end with the tests, however these end.

use std::{
    io,
    process::{Child, Command},
    sync::{
        OnceLock,
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

type Order = (Command, SyncSender<io::Result<Child>>);

/// Spawns `program` so that it dies with this process. The kernel ties a child to the *thread* that spawned it, and a test's thread ends
/// with its test: so one thread that lives as long as the process spawns them all.
///
/// # Errors
/// What the system said.
pub fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<SyncSender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, orders) = sync_channel::<Order>(16);
        thread::spawn(move || {
            for (mut command, answer) in orders {
                let _ = answer.send(command.spawn());
            }
        });
        sender
    });
    let (answer, spawned) = sync_channel(1);
    spawner.send((command, answer)).map_err(io::Error::other)?;
    spawned.recv().map_err(io::Error::other)?
}

/// A command that gets SIGKILL when its spawner is gone.
#[must_use]
pub fn mortal(program: &std::ffi::OsStr) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}
