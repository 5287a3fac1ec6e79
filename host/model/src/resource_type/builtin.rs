//! Types that every workspace has. Their names are taken.

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

#[must_use]
pub fn built_in(name: &str) -> Option<&'static BuiltIn> {
    BUILT_IN.iter().find(|own| own.name == name)
}
