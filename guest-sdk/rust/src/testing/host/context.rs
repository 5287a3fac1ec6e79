//! The run that a world says this is; without a world that of a new one.

use crate::{
    context::Context,
    testing::{Fakes, world},
};

pub(crate) fn get() -> Context {
    world::current().map_or_else(|_| Fakes::new().context, |world| world.context.clone())
}

pub(crate) fn payload() -> Vec<u8> {
    world::current().map(|world| world.payload.clone()).unwrap_or_default()
}
