//! What people read on a terminal.

mod diagnostics;
mod log;
mod paint;
mod problem;
mod table;
mod text;
mod upload;

pub(crate) use diagnostics::{Severity, diagnostics};
pub(crate) use log::log_line;
pub(crate) use paint::Paint;
pub(crate) use problem::{error, error_json, run_error};
pub(crate) use table::table;
pub(crate) use text::{clean, clean_line};
pub(crate) use upload::{Upload, upload};
