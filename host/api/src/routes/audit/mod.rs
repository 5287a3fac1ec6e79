//! The audit log, of a workspace and of the installation: list, export, verify.

pub(crate) mod export;
pub(crate) mod instance;
pub(crate) mod list;
pub(crate) mod verify;

pub(crate) use export::export;
pub(crate) use list::list;
pub(crate) use verify::verify;
