//! Lines of the log, captured; without a world they are dropped.

use serde_json::Value;

use crate::{
    log::Level,
    testing::{Line, world},
};

pub(crate) fn write(level: Level, message: &str, fields: Option<&str>) {
    if let Ok(world) = world::current() {
        let fields = fields.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
        world.recorded.borrow_mut().log.push(Line { level, message: message.to_owned(), fields });
    }
}
