//! Brokers that were faked.

use super::resources::Handle;
use crate::{Result, publish::Message, testing::world};

pub(crate) fn send(via: &Handle, message: &Message) -> Result<String> {
    let (world, path) = (world::current()?, via.path());
    let how = format!("Fakes::new().broker({path:?}, json!({{}}))");
    let answer = world.brokers.get(&path).ok_or_else(|| world::denied("this broker was not faked", &how))?;
    world.recorded.borrow_mut().messages.push((path, message.clone()));
    Ok(answer.to_string())
}
