//! Children: functions of the test, called when they are started.

use serde_json::Value;

use crate::{
    Error, Output, Result,
    runs::{Ending, Options},
    testing::world,
};

/// Whom to wait for.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    All,
    Any,
}

pub(crate) fn start(path: &str, args: &str, options: &Options) -> Result<String> {
    let world = world::current()?;
    let how = format!("Fakes::new().run({path:?}, |args| Ok(json!(null)))");
    let child = world.children.get(path).cloned().ok_or_else(|| world::denied("this script was not faked", &how))?;
    let args: Value =
        serde_json::from_str(args).ok().filter(Value::is_object).ok_or_else(|| Error::new("invalid", "arguments are a JSON object"))?;
    if let Some(id) = options.key.as_ref().and_then(|key| world.recorded.borrow().keys.get(key).cloned()) {
        return Ok(id);
    }
    let id = {
        let mut recorded = world.recorded.borrow_mut();
        recorded.started.push((path.to_owned(), args.clone()));
        world::id(recorded.started.len())
    };
    let ending = match child(args) {
        Ok(value) => Ending::Succeeded(Output::Json(value.to_string())),
        Err(error) => Ending::Failed { outcome: "error".to_owned(), error },
    };
    let mut recorded = world.recorded.borrow_mut();
    recorded.endings.insert(id.clone(), ending);
    recorded.keys.extend(options.key.clone().map(|key| (key, id.clone())));
    Ok(id)
}

fn ending(id: &str) -> Result<Ending> {
    let none = || Error::new("not-found", format!("this run has no child `{id}`"));
    world::current()?.recorded.borrow().endings.get(id).cloned().ok_or_else(none)
}

pub(crate) fn wait(id: &str, _timeout_ms: Option<u64>) -> Result<Ending> {
    ending(id)
}

pub(crate) fn wait_many(ids: &[String], _until: Until, _timeout_ms: Option<u64>) -> Result<Vec<String>> {
    ids.iter().map(|id| ending(id).map(|_| id.clone())).collect()
}

pub(crate) fn get_result(id: &str) -> Result<Option<Ending>> {
    ending(id).map(Some)
}

pub(crate) fn cancel(id: &str) -> Result<bool> {
    ending(id).map(|_| false)
}
