//! The host's side in unit tests: functions of the same signatures as in a component.

pub(crate) mod blob;
pub(crate) mod context;
pub(crate) mod http;
pub(crate) mod log;
pub(crate) mod output;
pub(crate) mod publish;
pub(crate) mod resources;
pub(crate) mod runs;
pub(crate) mod sql;
pub(crate) mod state;
pub(crate) mod variables;
