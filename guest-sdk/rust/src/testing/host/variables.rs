//! Variables that were faked.

use crate::{
    Error, Result,
    testing::{placeholder as text_for, world},
};

pub(crate) fn get(path: &str) -> Result<String> {
    let world = world::current()?;
    let how = format!("Fakes::new().variable({path:?}, \"…\")");
    world.variables.get(path).cloned().ok_or_else(|| world::denied("this variable was not faked", &how))
}

pub(crate) fn placeholder(path: &str) -> Result<String> {
    let world = world::current()?;
    if world.secrets.iter().any(|secret| secret == path) {
        return Ok(text_for(path));
    }
    if world.variables.contains_key(path) {
        return Err(Error::new("invalid", format!("`{path}` is not secret")));
    }
    Err(world::denied("this secret variable was not faked", &format!("Fakes::new().secret({path:?})")))
}
