//! WASI 0.3, as far as it is not what WASI 0.2 is under other names: no arguments, no environment, no directories, no sockets; what is
//! written ends in the run's log.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use sandmill_model::{Clock, LogStream, random::bytes};
use tokio::io::AsyncWrite;
use wasmtime::{Result, component::Linker};
use wasmtime_wasi::{
    WasiCtx, WasiCtxView, WasiView,
    cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView},
    clocks::{HostWallClock, WasiClocks, WasiClocksView},
    filesystem::WasiFilesystem,
    p3::bindings::{cli, clocks, filesystem, random, sockets},
    sockets::WasiSockets,
};

use super::{Own, files, network, own};
use crate::{
    control::Control,
    guest::{Core, Guest},
    stop::Stop,
};

/// Bytes of one call; the interface lets a host give fewer than were asked for.
const RANDOM_BYTES_MAX: u64 = 64 * 1024;
/// Bytes that are taken from a guest's stream at once.
const WRITE_BYTES_MAX: usize = 64 * 1024;
/// Times are microseconds.
const WALL_RESOLUTION: Duration = Duration::from_micros(1);

pub(super) fn link<H: Send + 'static>(linker: &mut Linker<Guest<H>>) -> Result<()> {
    cli::environment::add_to_linker::<_, Own>(linker, own)?;
    cli::exit::add_to_linker::<_, Own>(linker, own)?;
    cli::stdin::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)?;
    cli::stdout::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)?;
    cli::stderr::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(linker, WasiCliView::cli)?;

    clocks::types::add_to_linker::<_, WasiClocks>(linker, WasiClocksView::clocks)?;
    clocks::monotonic_clock::add_to_linker::<_, WasiClocks>(linker, WasiClocksView::clocks)?;
    clocks::system_clock::add_to_linker::<_, WasiClocks>(linker, WasiClocksView::clocks)?;

    random::random::add_to_linker::<_, Own>(linker, own)?;
    random::insecure::add_to_linker::<_, Own>(linker, own)?;
    random::insecure_seed::add_to_linker::<_, Own>(linker, own)?;

    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(linker, files)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(linker, files)?;
    sockets::ip_name_lookup::add_to_linker::<_, WasiSockets>(linker, network)?;
    sockets::types::add_to_linker::<_, WasiSockets>(linker, network)?;
    Ok(())
}

/// For the streams of stdio and for clocks; nothing that could be opened with it is there.
impl<H: Send + 'static> WasiView for Guest<H> {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Core { wasi, table, control, clock, .. } = &mut self.core;
        let ctx = wasi.get_or_insert_with(|| {
            let lines = |stream| Lines { control: Arc::clone(control), clock: Arc::clone(clock), stream, has_yielded: false };
            let mut builder = WasiCtx::builder();
            builder.stdout(lines(LogStream::Stdout)).stderr(lines(LogStream::Stderr)).wall_clock(Wall(Arc::clone(clock)));
            Box::new(builder.build())
        });
        WasiCtxView { ctx, table }
    }
}

/// The sandbox's clock.
struct Wall(Arc<dyn Clock>);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        WALL_RESOLUTION
    }

    fn now(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.now().micros()).unwrap_or(0))
    }
}

/// Lines for the log.
#[derive(Clone)]
struct Lines {
    control: Arc<Control>,
    clock: Arc<dyn Clock>,
    stream: LogStream,
    has_yielded: bool,
}

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Lines {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // A guest that only writes lets others have their turn.
        if self.control.turn_is_over() && !self.has_yielded {
            self.has_yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.has_yielded = false;
        let taken = &bytes[..bytes.len().min(WRITE_BYTES_MAX)];
        self.control.log().write(self.clock.now(), self.stream, taken);
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl cli::environment::Host for Core {
    fn get_environment(&mut self) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    fn get_arguments(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn get_initial_cwd(&mut self) -> Result<Option<String>> {
        Ok(None)
    }
}

impl cli::exit::Host for Core {
    fn exit(&mut self, status: std::result::Result<(), ()>) -> Result<()> {
        Err(Stop::Exit { code: u8::from(status.is_err()) }.into())
    }

    fn exit_with_code(&mut self, code: u8) -> Result<()> {
        Err(Stop::Exit { code }.into())
    }
}

fn some(len: u64) -> Vec<u8> {
    let wanted = usize::try_from(len.min(RANDOM_BYTES_MAX)).unwrap_or(0);
    let mut all = Vec::with_capacity(wanted);
    while all.len() < wanted {
        let part: [u8; 512] = bytes();
        all.extend_from_slice(&part[..part.len().min(wanted - all.len())]);
    }
    all
}

fn number() -> u64 {
    u64::from_le_bytes(bytes())
}

impl random::random::Host for Core {
    fn get_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        Ok(some(len))
    }

    fn get_random_u64(&mut self) -> Result<u64> {
        Ok(number())
    }
}

impl random::insecure::Host for Core {
    fn get_insecure_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        Ok(some(len))
    }

    fn get_insecure_random_u64(&mut self) -> Result<u64> {
        Ok(number())
    }
}

impl random::insecure_seed::Host for Core {
    fn get_insecure_seed(&mut self) -> Result<(u64, u64)> {
        Ok((number(), number()))
    }
}
