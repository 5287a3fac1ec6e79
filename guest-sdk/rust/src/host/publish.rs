//! `sandmill:publish`

use super::{
    bindings::sandmill::publish::publish::{self as wit, Error as Fault},
    named,
    resources::Handle,
};
use crate::{Error, Result, publish::Message};

fn told(fault: Fault) -> Error {
    match fault {
        Fault::Denied(message) => named("denied", message),
        Fault::Invalid(message) => named("invalid", message),
        Fault::TooLarge(message) => named("too-large", message),
        Fault::Unavailable(message) => named("unavailable", message),
    }
}

pub(crate) fn send(via: &Handle, message: &Message) -> Result<String> {
    let Message { to, payload, headers, id, kept } = message.clone();
    wit::publish(&via.0, &wit::Message { to, payload, headers, id, kept }).map_err(told)
}
