//! WASI for guests: clocks, random numbers, stdio into the log; no arguments, no environment, no directories, no sockets.
//!
//! What is ours here is what a run pays for: nothing is made before a guest asks for it, and calls that could keep a thread busy
//! give others their turn. The rest — files and sockets, which no guest can open — is wasmtime-wasi's, so that programs that
//! import it can be linked.

mod asynchronous;
mod cli;
mod clocks;
mod poll;
mod random;
mod stdio;

use sandmill_model::version::ComponentModel;
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::{
    filesystem::{WasiFilesystem, WasiFilesystemCtxView},
    p2::bindings::{cli as cli_bindings, clocks as clock_bindings, filesystem, sockets},
    sockets::{WasiSockets, WasiSocketsCtxView},
};
use wasmtime_wasi_io::bindings::wasi::io;

use crate::guest::{Core, Guest};

/// Interfaces that are ours.
struct Own;

impl HasData for Own {
    type Data<'a> = &'a mut Core;
}

/// Interfaces that need the table of handles only.
struct Handles;

impl HasData for Handles {
    type Data<'a> = &'a mut ResourceTable;
}

fn own<H>(guest: &mut Guest<H>) -> &mut Core {
    &mut guest.core
}

fn handles<H>(guest: &mut Guest<H>) -> &mut ResourceTable {
    &mut guest.core.table
}

fn files<H>(guest: &mut Guest<H>) -> WasiFilesystemCtxView<'_> {
    WasiFilesystemCtxView { ctx: &mut guest.core.filesystem, table: &mut guest.core.table }
}

fn network<H>(guest: &mut Guest<H>) -> WasiSocketsCtxView<'_> {
    WasiSocketsCtxView { ctx: guest.core.sockets.get_or_insert_default(), table: &mut guest.core.table }
}

pub(crate) fn link<H: Send + 'static>(linker: &mut Linker<Guest<H>>, model: ComponentModel) -> wasmtime::Result<()> {
    if model == ComponentModel::Async {
        asynchronous::link(linker)?;
    }
    io::error::add_to_linker::<_, Handles>(linker, handles)?;
    io::streams::add_to_linker::<_, Handles>(linker, handles)?;
    io::poll::add_to_linker::<_, Own>(linker, own)?;

    clock_bindings::wall_clock::add_to_linker::<_, Own>(linker, own)?;
    clock_bindings::monotonic_clock::add_to_linker::<_, Own>(linker, own)?;
    random::link(linker)?;
    cli_bindings::environment::add_to_linker::<_, Own>(linker, own)?;
    cli_bindings::exit::add_to_linker::<_, Own>(linker, own)?;
    cli_bindings::stdin::add_to_linker::<_, Own>(linker, own)?;
    cli_bindings::stdout::add_to_linker::<_, Own>(linker, own)?;
    cli_bindings::stderr::add_to_linker::<_, Own>(linker, own)?;
    cli_bindings::terminal_input::add_to_linker::<_, Own>(linker, own)?;
    cli_bindings::terminal_output::add_to_linker::<_, Own>(linker, own)?;
    cli_bindings::terminal_stdin::add_to_linker::<_, Own>(linker, own)?;
    cli_bindings::terminal_stdout::add_to_linker::<_, Own>(linker, own)?;
    cli_bindings::terminal_stderr::add_to_linker::<_, Own>(linker, own)?;

    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(linker, files)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(linker, files)?;
    sockets::instance_network::add_to_linker::<_, WasiSockets>(linker, network)?;
    sockets::network::add_to_linker::<_, WasiSockets>(linker, &sockets::network::LinkOptions::default(), network)?;
    sockets::ip_name_lookup::add_to_linker::<_, WasiSockets>(linker, network)?;
    sockets::tcp::add_to_linker::<_, WasiSockets>(linker, network)?;
    sockets::tcp_create_socket::add_to_linker::<_, WasiSockets>(linker, network)?;
    sockets::udp::add_to_linker::<_, WasiSockets>(linker, network)?;
    sockets::udp_create_socket::add_to_linker::<_, WasiSockets>(linker, network)?;
    Ok(())
}
