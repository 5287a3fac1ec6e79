//! Limits and settings by name, in requests and answers: what they are, the model says; here they are described.

use std::borrow::Cow;

use sandmill_model::{
    Quotas, WorkspaceSettings,
    quota::{Overrides, QUOTA_MAX},
    settings::{Patch, RETENTION_DAYS_MAX, WEIGHT_MAX},
};
use serde::{Deserialize, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, OneOfBuilder, RefOr, Schema, Type,
        schema::{AdditionalProperties, SchemaType},
    },
};

/// Limits that hold.
#[derive(Serialize)]
pub(crate) struct Held(pub(crate) Quotas);

/// Limits of a workspace of its own, as they are kept.
#[derive(Serialize)]
pub(crate) struct Kept(pub(crate) Overrides);

/// Limits that are sent, of which some may be left out.
#[derive(Default, Deserialize)]
pub(crate) struct Given(pub(crate) Overrides);

/// The same, where `"plan"` takes one back.
#[derive(Default, Deserialize)]
pub(crate) struct Changed(pub(crate) Overrides);

/// All settings.
#[derive(Serialize)]
pub(crate) struct Set(pub(crate) WorkspaceSettings);

/// Some of them; null takes one back.
#[derive(Deserialize)]
pub(crate) struct SettingsChange(pub(crate) Patch);

/// A whole number within these, or null.
fn number(about: &str, minimum: u64, maximum: u64) -> ObjectBuilder {
    let kinds = SchemaType::from_iter([Type::Integer, Type::Null]);
    ObjectBuilder::new().schema_type(kinds).description(Some(about.trim())).minimum(Some(minimum)).maximum(Some(maximum))
}

fn closed(object: ObjectBuilder) -> ObjectBuilder {
    object.additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
}

fn quotas(about: &str) -> ObjectBuilder {
    let all = ObjectBuilder::new().schema_type(Type::Object).description(Some(about));
    Quotas::DESCRIBED.iter().fold(all, |all, (name, about)| all.property(*name, number(about, 0, QUOTA_MAX)))
}

fn settings(about: &str) -> ObjectBuilder {
    let days = u64::from(RETENTION_DAYS_MAX);
    let path = SchemaType::from_iter([Type::String, Type::Null]);
    let handler = "Path of the script that is started when a run has failed for good, unless its own script names another.";
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(about))
        .property("retention_days", number("Days for which a run is kept after its end; 0: for ever.", 0, days))
        .property("weight", number("Its share of the slots, against those of others that have runs ready.", 1, WEIGHT_MAX.into()))
        .property("running_runs_max", number("Runs that execute at once, on all nodes together.", 1, u32::MAX.into()))
        .property("backlog_max", number("Runs that wait or execute; past it new ones are refused.", 1, u64::MAX))
        .property("error_handler", ObjectBuilder::new().schema_type(path).description(Some(handler)))
        .property("audit_days", number("Days for which entries of the audit log are kept; 0: for ever.", 0, days))
}

fn changed_quotas() -> ObjectBuilder {
    let all = ObjectBuilder::new().schema_type(Type::Object).description(Some("Limits by name; what is left out stays."));
    let property = |about: &str| {
        let plan = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["plan"]));
        OneOfBuilder::new().item(number(about, 0, QUOTA_MAX)).item(plan.description(Some("That of the plan again.")))
    };
    Quotas::DESCRIBED.iter().fold(all, |all, (name, about)| all.property(*name, property(about)))
}

/// What each is called in the description, and its schema.
macro_rules! described {
    ($($type:ident, $name:literal, $schema:expr;)*) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                $schema.into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                $name.into()
            }
        }
    )*};
}

described! {
    Held, "Quotas", quotas("Limits by name; null is without limit.");
    Kept, "QuotasKept", quotas("Limits by name, but for those that the plan has; null is without limit.");
    Given, "QuotasGiven", closed(quotas("Limits by name; null is without limit."));
    Changed, "QuotasChange", closed(changed_quotas());
    Set, "WorkspaceSettings", settings("All settings; null is as the installation says.");
    SettingsChange, "SettingsChange", closed(settings("Settings by name; null takes one back, and what is left out stays."));
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn properties<T: PartialSchema>() -> Vec<(String, Value)> {
        let schema = serde_json::to_value(T::schema()).unwrap();
        schema["properties"].as_object().unwrap().iter().map(|(name, property)| (name.clone(), property.clone())).collect()
    }

    fn names<T: PartialSchema>() -> Vec<String> {
        let mut names: Vec<String> = properties::<T>().into_iter().map(|(name, _)| name).collect();
        names.sort();
        names
    }

    /// What is described is taken, and what is just beyond it is not.
    fn check(property: &Value, takes: impl Fn(Value) -> bool) {
        let (minimum, maximum) = (property["minimum"].as_u64().unwrap(), property["maximum"].as_u64().unwrap());
        let number = |number: i128| serde_json::from_str::<Value>(&number.to_string()).unwrap();
        let (least, most) = (i128::from(minimum), i128::from(maximum));
        for (value, is_taken) in [
            (Value::Null, true),
            (number(least), true),
            (number(most), true),
            (number(least - 1), false),
            (number(most + 1), false),
            (Value::from(1.5), false),
            (Value::from("1"), false),
        ] {
            assert_eq!(takes(value.clone()), is_taken, "{property}: {value}");
        }
    }

    #[test]
    fn settings_are_described_as_they_are_taken() {
        let Value::Object(all) = serde_json::to_value(WorkspaceSettings::default()).unwrap() else { panic!() };
        let mut known: Vec<String> = all.keys().cloned().collect();
        known.sort();
        assert_eq!((names::<Set>(), names::<SettingsChange>()), (known.clone(), known));
        for (name, property) in properties::<SettingsChange>() {
            assert!(property["description"].is_string(), "{name}");
            let takes = |value: Value| WorkspaceSettings::default().patched(&Patch::from_iter([(name.clone(), value)])).is_ok();
            if name == "error_handler" {
                assert!(takes("f/a/b".into()) && takes(Value::Null) && !takes("a".into()) && !takes(1.into()));
            } else {
                check(&property, takes);
            }
        }
    }

    #[test]
    fn limits_are_described_as_they_are_taken() {
        let mut known: Vec<String> = Quotas::NAMES.iter().map(|name| (*name).to_owned()).collect();
        known.sort();
        assert_eq!((names::<Held>(), names::<Given>(), names::<Changed>()), (known.clone(), known.clone(), known));
        for (name, property) in properties::<Given>() {
            assert!(property["description"].as_str().is_some_and(|about| about.ends_with('.') && !about.starts_with(' ')), "{name}");
            check(&property, |value| Quotas::parse(&Overrides::from_iter([(name.clone(), value)])).is_ok());
        }
        for (name, property) in properties::<Changed>() {
            assert_eq!(property["oneOf"][1]["enum"], Value::from(vec!["plan"]), "{name}");
        }
    }
}
