//! `sandmill:resources`

use super::{
    bindings::sandmill::resources::resources::{self as wit, Error as Fault},
    named,
};
use crate::{Error, Result};

#[derive(Debug)]
pub(crate) struct Handle(pub(super) wit::Handle);

fn told(fault: Fault) -> Error {
    match fault {
        Fault::Denied(message) => named("denied", message),
        Fault::Invalid(message) => named("invalid", message),
        Fault::NotFound(message) => named("not-found", message),
        Fault::Unavailable(message) => named("unavailable", message),
    }
}

pub(crate) fn open(path: &str) -> Result<Handle> {
    wit::open(path).map(Handle).map_err(told)
}

impl Handle {
    pub(crate) fn path(&self) -> String {
        self.0.path()
    }

    pub(crate) fn kind(&self) -> String {
        self.0.kind()
    }

    pub(crate) fn fields(&self) -> String {
        self.0.fields()
    }

    pub(crate) fn placeholder(&self, pointer: &str) -> Result<String> {
        self.0.placeholder(pointer).map_err(told)
    }
}
