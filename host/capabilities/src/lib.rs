//! What a script may do to the world outside its sandbox: one file for each WIT interface, with the same stem as the WIT file.
//! Each reaches the world through a narrow port that whoever composes the node provides, and knows nothing behind it.
//!
//! To add an interface: its WIT file, a file here with the host side, a line in [`link`], a test of the same stem.

mod bindings;
pub mod blob;
mod config;
mod context;
mod grants;
mod host;
pub mod http;
mod keyvalue;
mod log;
mod output;
mod placeholders;
mod publish;
pub mod resources;
mod runs;
pub mod sql;
mod state;
mod variables;

use sandmill_model::version::ComponentModel;
use sandmill_sandbox::Guest;
use wasmtime::component::{HasData, Linker};

pub use grants::GrantsPort;
pub use host::{Host, Ports, RunFacts};
pub use output::OutputPort;
pub use placeholders::Placeholders;
pub use publish::Publishers;
pub use resources::ResourcesPort;
pub use state::{StateError, StatePort, StateScope};
pub use variables::{Variable, VariablesPort};

/// The host side of every interface is the run's data itself.
struct Run;

impl HasData for Run {
    type Data<'a> = &'a mut Guest<Host>;
}

/// Adds every interface, in the form of the model.
///
/// # Errors
/// If one is there already.
pub fn link(linker: &mut Linker<Guest<Host>>, model: ComponentModel) -> anyhow::Result<()> {
    fn run(guest: &mut Guest<Host>) -> &mut Guest<Host> {
        guest
    }
    bindings::blob::add_to_linker::<_, Run>(linker, run)?;
    bindings::context::add_to_linker::<_, Run>(linker, run)?;
    bindings::log::add_to_linker::<_, Run>(linker, run)?;
    bindings::output::add_to_linker::<_, Run>(linker, run)?;
    bindings::types::add_to_linker::<_, Run>(linker, run)?;
    bindings::publish::add_to_linker::<_, Run>(linker, run)?;
    bindings::resources::add_to_linker::<_, Run>(linker, run)?;
    bindings::runs::add_to_linker::<_, Run>(linker, run)?;
    bindings::sql::add_to_linker::<_, Run>(linker, run)?;
    bindings::state::add_to_linker::<_, Run>(linker, run)?;
    bindings::variables::add_to_linker::<_, Run>(linker, run)?;
    bindings::keyvalue::add_to_linker::<_, Run>(linker, run)?;
    bindings::config::add_to_linker::<_, Run>(linker, run)?;
    http::link(linker, model)
}
