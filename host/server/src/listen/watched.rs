//! A socket that notes when bytes move, and writes when others have had their turn.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{activity::Activity, wire::Wire};

/// How an HTTP/2 connection begins; no HTTP/1 request does.
const HTTP2_BEGINS: &[u8] = b"PRI ";
/// Bytes of a ping, the smallest thing that an idle HTTP/2 connection writes; what is this small is not taken for a part of an answer.
const PING_BYTES: usize = 17;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Unknown,
    Http1,
    Http2,
}

/// Which connection was read from last, so that one that is alone need not give way to anybody.
#[derive(Default)]
pub(super) struct LastRead(AtomicUsize);

pub(super) struct Watched {
    stream: Wire,
    activity: Arc<Activity>,
    protocol: Protocol,
    last_read: Arc<LastRead>,
    /// The next write lets the connections that are ready go first. Each write may wake a peer that sleeps, which costs more than the
    /// write; where many ask at once, answers that leave together wake it once.
    gives_way: bool,
}

impl Watched {
    pub(super) fn new(stream: Wire, activity: Arc<Activity>, last_read: Arc<LastRead>) -> Self {
        Self { stream, activity, protocol: Protocol::Unknown, last_read, gives_way: false }
    }

    /// Pending once, if this write is to give way.
    fn poll_turn(&mut self, context: &Context<'_>) -> Poll<()> {
        if !std::mem::take(&mut self.gives_way) {
            return Poll::Ready(());
        }
        // A task that wakes itself goes to the back of the queue.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn read(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let this = Arc::as_ptr(&self.activity).addr();
        self.gives_way = self.last_read.0.swap(this, Relaxed) != this;
        if self.protocol == Protocol::Unknown {
            self.protocol = if bytes.starts_with(HTTP2_BEGINS) { Protocol::Http2 } else { Protocol::Http1 };
        }
        match self.protocol {
            Protocol::Http2 => self.activity.read_frames(),
            Protocol::Unknown | Protocol::Http1 => self.activity.read(),
        }
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        let Poll::Ready(written) = written else { return self.activity.blocked() };
        self.activity.unblocked();
        let least = if self.protocol == Protocol::Http2 { PING_BYTES } else { 0 };
        if written.as_ref().is_ok_and(|bytes| *bytes > least) {
            self.activity.wrote();
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.read(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_turn(context));
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(&written);
        written
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(self.poll_turn(context));
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        // TLS takes more than the kernel does: what it holds back is not read, either.
        if self.stream.is_secure() {
            if flushed.is_pending() { self.activity.blocked() } else { self.activity.unblocked() }
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    async fn pair(listener: &TcpListener, last_read: &Arc<LastRead>) -> (TcpStream, Watched) {
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (peer, Watched::new(Wire::Plain(stream), Arc::new(Activity::begin()), Arc::clone(last_read)))
    }

    /// Reads what the peer sends, then tells whether the first write gives way.
    async fn gives_way(peer: &mut TcpStream, watched: &mut Watched) -> bool {
        peer.write_all(b"GET").await.unwrap();
        watched.read_exact(&mut [0; 3]).await.unwrap();
        let first = poll_fn(|context| Poll::Ready(Pin::new(&mut *watched).poll_write(context, b"x").is_pending())).await;
        watched.write_all(b"y").await.unwrap();
        first
    }

    #[tokio::test]
    async fn only_who_is_not_alone_gives_way_and_only_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let last_read = Arc::default();
        let (mut ann, mut of_ann) = pair(&listener, &last_read).await;
        let (mut ben, mut of_ben) = pair(&listener, &last_read).await;
        assert!(gives_way(&mut ann, &mut of_ann).await, "nobody was read before");
        assert!(!gives_way(&mut ann, &mut of_ann).await, "alone");
        assert!(gives_way(&mut ben, &mut of_ben).await);
        assert!(gives_way(&mut ann, &mut of_ann).await);
    }
}
