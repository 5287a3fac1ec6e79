//! State in memory, under the host's limits.

use std::collections::BTreeMap;

use crate::{
    Error, Result,
    testing::{json::canonical, world},
};

const KEY_BYTES_MAX: usize = 512;
const VALUE_BYTES_MAX: usize = 1 << 20;
const KEYS_MAX: usize = 10_000;
const LISTED_MAX: u32 = 1_000;

fn check_key(key: &str) -> Result<()> {
    if key.is_empty() || key.len() > KEY_BYTES_MAX || key.chars().any(char::is_control) {
        return Err(Error::new("invalid-key", format!("a key has 1 to {KEY_BYTES_MAX} bytes and no control characters")));
    }
    Ok(())
}

fn check_value(value: &str) -> Result<String> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(Error::new("too-large", format!("a value has at most {VALUE_BYTES_MAX} bytes")));
    }
    canonical(value).map_err(|fault| Error::new("invalid-json", fault.to_string()))
}

fn put(state: &mut BTreeMap<String, String>, key: &str, value: &str) -> Result<()> {
    check_value(value)?;
    if !state.contains_key(key) && state.len() >= KEYS_MAX {
        return Err(Error::new("too-large", format!("there are at most {KEYS_MAX} keys")));
    }
    state.insert(key.to_owned(), value.to_owned());
    Ok(())
}

pub(crate) fn get(key: &str) -> Result<Option<String>> {
    check_key(key)?;
    Ok(world::current()?.recorded.borrow().state.get(key).cloned())
}

pub(crate) fn set(key: &str, value: &str) -> Result<()> {
    check_key(key)?;
    put(&mut world::current()?.recorded.borrow_mut().state, key, value)
}

pub(crate) fn delete(key: &str) -> Result<()> {
    check_key(key)?;
    world::current()?.recorded.borrow_mut().state.remove(key);
    Ok(())
}

pub(crate) fn compare_and_swap(key: &str, expected: Option<&str>, new: Option<&str>) -> Result<bool> {
    check_key(key)?;
    let expected = expected.map(check_value).transpose()?;
    let world = world::current()?;
    let state = &mut world.recorded.borrow_mut().state;
    if state.get(key).map(|text| check_value(text)).transpose()? != expected {
        return Ok(false);
    }
    match new {
        Some(value) => put(state, key, value)?,
        None => _ = state.remove(key),
    }
    Ok(true)
}

pub(crate) fn list(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
    let world = world::current()?;
    let recorded = world.recorded.borrow();
    let keys = recorded.state.keys().filter(|key| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after));
    Ok(keys.take(limit.min(LISTED_MAX) as usize).cloned().collect())
}
