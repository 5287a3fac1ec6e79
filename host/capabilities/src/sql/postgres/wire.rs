//! The way to the server: a TCP connection of ours to an address that was checked, joined to a socket that only this process can open. So the name of
//! the server stays what its certificate is checked for while the address is fixed, and what comes back is counted: a single value may have a
//! gigabyte, and the client would take it all.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixListener},
};
use tokio_util::sync::{CancellationToken, DropGuard};

/// The port in the name of the socket.
pub(super) const PORT: u16 = 5432;
/// Bytes that one call may receive.
const CALL_BYTES_MAX: i64 = 64 * 1024 * 1024;
const BUFFER_BYTES: usize = 16 * 1024;

/// Cuts the connection when dropped.
pub(super) struct Wire {
    meter: Arc<Meter>,
    _cut: DropGuard,
}

struct Meter {
    left: AtomicI64,
    is_exceeded: AtomicBool,
}

impl Wire {
    /// The wire, and the folder of the socket, which is there until somebody has connected.
    pub(super) fn start(server: TcpStream) -> io::Result<(Self, Arc<TempDir>)> {
        // Nobody but this user may look into it.
        let folder = Arc::new(tempfile::tempdir()?);
        let listener = UnixListener::bind(socket(folder.path()))?;
        let meter = Arc::new(Meter { left: AtomicI64::new(CALL_BYTES_MAX), is_exceeded: AtomicBool::new(false) });
        let cut = CancellationToken::new();
        let joined = join(listener, Arc::clone(&folder), server, Arc::clone(&meter));
        let is_cut = cut.clone();
        // Nobody waits for it: a wire ends with its connection.
        tokio::runtime::Handle::current().spawn(async move {
            let _ = is_cut.run_until_cancelled(joined).await;
        });
        Ok((Self { meter, _cut: cut.drop_guard() }, folder))
    }

    /// A call begins.
    pub(super) fn reset(&self) {
        self.meter.left.store(CALL_BYTES_MAX, Ordering::Relaxed);
    }

    /// Whether a call received too much; then the connection is gone.
    pub(super) fn is_exceeded(&self) -> bool {
        self.meter.is_exceeded.load(Ordering::Relaxed)
    }
}

fn socket(folder: &Path) -> std::path::PathBuf {
    folder.join(format!(".s.PGSQL.{PORT}"))
}

async fn join(listener: UnixListener, folder: Arc<TempDir>, server: TcpStream, meter: Arc<Meter>) -> io::Result<()> {
    let (client, _) = listener.accept().await?;
    drop((listener, folder));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let up = pass(from_client, to_server, |_| true);
    let down = pass(from_server, to_client, |bytes| {
        let is_within = meter.left.fetch_sub(bytes, Ordering::Relaxed) >= bytes;
        if !is_within {
            meter.is_exceeded.store(true, Ordering::Relaxed);
        }
        is_within
    });
    // Whichever side ends first ends both.
    tokio::select! {
        ended = up => ended,
        ended = down => ended,
    }
}

async fn pass(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut may_pass: impl FnMut(i64) -> bool) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 || !may_pass(i64::try_from(read).unwrap_or(i64::MAX)) {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}
