//! `sandmill:output`

pub(crate) use super::bindings::sandmill::output::output::{progress, write};
