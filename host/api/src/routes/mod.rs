//! Handlers, by resource: one file for each endpoint or small group.

pub(crate) mod instance;
pub(crate) mod letters;
pub(crate) mod runs;
pub(crate) mod scripts;
pub(crate) mod settings;
