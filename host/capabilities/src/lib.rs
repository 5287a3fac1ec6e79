//! What a script may do to the world outside its sandbox: one file for each WIT interface, with the same stem as the WIT file.
//! Each reaches the world through a narrow port that whoever composes the node provides, and knows nothing behind it.
//!
//! To add an interface: its WIT file, a file here with the host side, a line in [`link`], a test of the same stem.

mod bindings;
mod context;
mod host;
mod log;
mod output;
mod runs;
mod state;

use sandmill_sandbox::Guest;
use wasmtime::component::{HasData, Linker};

pub use host::{Host, Ports, RunFacts};
pub use output::OutputPort;
pub use state::{StateError, StatePort, StateScope};

/// The host side of every interface is the run's data itself.
struct Run;

impl HasData for Run {
    type Data<'a> = &'a mut Guest<Host>;
}

/// Adds every interface.
///
/// # Errors
/// If one is there already.
pub fn link(linker: &mut Linker<Guest<Host>>) -> anyhow::Result<()> {
    fn run(guest: &mut Guest<Host>) -> &mut Guest<Host> {
        guest
    }
    bindings::context::add_to_linker::<_, Run>(linker, run)?;
    bindings::log::add_to_linker::<_, Run>(linker, run)?;
    bindings::output::add_to_linker::<_, Run>(linker, run)?;
    bindings::types::add_to_linker::<_, Run>(linker, run)?;
    bindings::runs::add_to_linker::<_, Run>(linker, run)?;
    bindings::state::add_to_linker::<_, Run>(linker, run)?;
    Ok(())
}
