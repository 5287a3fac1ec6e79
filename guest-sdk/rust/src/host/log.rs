//! `sandmill:log`

use super::bindings::sandmill::log::log as wit;
use crate::log::Level;

pub(crate) fn write(level: Level, message: &str, fields: Option<&str>) {
    let level = match level {
        Level::Trace => wit::Level::Trace,
        Level::Debug => wit::Level::Debug,
        Level::Info => wit::Level::Info,
        Level::Warn => wit::Level::Warn,
        Level::Error => wit::Level::Error,
    };
    wit::write(level, message, fields);
}
