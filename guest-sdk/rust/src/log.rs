//! Structured log lines. What a script prints lands in the same log.

use serde::Serialize;

use crate::{host::log as host, json};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Each step.
    Trace,
    /// For those who look for a fault.
    Debug,
    /// What happened.
    Info,
    /// What should not have happened.
    Warn,
    /// What failed.
    Error,
}

/// A line of a level. `fields` is what becomes a JSON object — a struct, a map — or `()`; anything else is left out.
pub fn write<F: Serialize + ?Sized>(level: Level, message: &str, fields: &F) {
    let fields = json::to_string(fields).ok().filter(|text| text.starts_with('{'));
    host::write(level, message, fields.as_deref());
}

macro_rules! levels {
    ($($name:ident $level:ident $about:literal)*) => {$(
        #[doc = $about]
        pub fn $name<F: Serialize + ?Sized>(message: &str, fields: &F) {
            write(Level::$level, message, fields);
        }
    )*};
}

levels! {
    trace Trace "A line of the level `trace`; see [`write()`]."
    debug Debug "A line of the level `debug`; see [`write()`]."
    info Info "A line of the level `info`; see [`write()`]."
    warn Warn "A line of the level `warn`; see [`write()`]."
    error Error "A line of the level `error`; see [`write()`]."
}

/// The fields of a log line: `fields!{ name, visits: 3 }`. A name alone takes the variable of that name.
#[macro_export]
macro_rules! fields {
    ($($name:ident $(: $value:expr)?),* $(,)?) => {
        $crate::log::Fields(&[$((stringify!($name), $crate::fields!(@ $name $($value)?))),*])
    };
    (@ $name:ident) => { &$name as &dyn $crate::log::Field };
    (@ $name:ident $value:expr) => { &$value as &dyn $crate::log::Field };
}

/// What [`crate::fields!`] makes.
pub struct Fields<'a>(#[doc(hidden)] pub &'a [(&'static str, &'a dyn Field)]);

/// A value that a log line may have: whatever `serde` can write.
pub trait Field {
    /// As JSON text; `null` if JSON cannot say it.
    fn json(&self) -> String;
}

impl<T: Serialize + ?Sized> Field for T {
    fn json(&self) -> String {
        json::to_string(self).unwrap_or_else(|_| "null".to_owned())
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, json::Raw(value.json()))))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Level;
    use crate::testing::Fakes;

    #[test]
    fn lines_have_levels_and_fields() {
        let world = Fakes::new().install();
        let name = "bob";
        super::info("greeting", &fields! { name, visits: 1 + 2 });
        super::error("bare", &());
        super::debug("a map", &json!({"a": [1]}));
        let lines = world.log();
        assert_eq!(
            (lines[0].level, lines[0].message.as_str(), &lines[0].fields),
            (Level::Info, "greeting", &json!({"name": "bob", "visits": 3}))
        );
        assert_eq!((lines[1].level, &lines[1].fields), (Level::Error, &json!(null)));
        assert_eq!(lines[2].fields, json!({"a": [1]}));
    }
}
