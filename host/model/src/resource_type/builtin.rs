//! Types that every workspace has. Their names are taken.

use std::sync::OnceLock;

use crate::trigger::ResourceKind;

/// A type that is part of the binary.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    pub name: &'static str,
    /// JSON Schema.
    pub schema: &'static str,
}

macro_rules! built_in {
    ($($name:literal),*) => {
        &[$(BuiltIn { name: $name, schema: include_str!(concat!("../resource_types/", $name, ".json")) }),*]
    };
}

/// In the order of their names.
pub const BUILT_IN: &[BuiltIn] = built_in!["http", "postgresql", "s3", "sqlite"];

/// Those that trigger kinds bring: nothing here names one.
static BROUGHT: OnceLock<Vec<BuiltIn>> = OnceLock::new();

/// From now on every workspace has these, too. Said once in a process, before anything is looked up: what is said later is not heard.
pub fn register(types: &[ResourceKind]) {
    BROUGHT.get_or_init(|| types.iter().map(|one| BuiltIn { name: one.name, schema: one.schema }).collect());
}

/// Of the binary and of its trigger kinds, in no order.
pub fn all_built_in() -> impl Iterator<Item = &'static BuiltIn> {
    BUILT_IN.iter().chain(BROUGHT.get().into_iter().flatten())
}

#[must_use]
pub fn built_in(name: &str) -> Option<&'static BuiltIn> {
    all_built_in().find(|own| own.name == name)
}
