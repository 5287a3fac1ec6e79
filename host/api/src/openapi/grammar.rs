//! What texts and numbers of requests are made of, by their names: a name means the same wherever it stands.

use sandmill_model::{Language, OutcomeKind, RunStatus, audit::AuditOutcome, role::Role, trigger::Mode};
use utoipa::{
    Number,
    openapi::{
        Object, OpenApi, RefOr, Schema, SchemaFormat, Type,
        path::{Operation, Parameter, ParameterIn},
        schema::{AdditionalProperties, KnownFormat, SchemaType},
    },
};

use crate::request::paging::LIMIT_MAX;

/// A path: 3 to 8 segments, none of them `.` or `..`; and what may follow it.
macro_rules! path {
    ($end:literal) => {
        concat!(
            "^[fu](/([A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}",
            "|\\.[A-Za-z0-9_-][A-Za-z0-9_.-]{0,62}",
            "|\\.\\.[A-Za-z0-9_.-]{1,62})){2,7}",
            $end
        )
    };
}

const PATH: &str = path!("$");
/// With or without a version.
const VERSIONED: &str = path!("(@([1-9][0-9]{0,17}|sha256:[0-9a-f]{64}))?$");
/// Of a workspace or a plan.
const NAME: &str = "^[a-z0-9][a-z0-9_-]{0,63}$";
/// Of a user; also of a group or a folder, which may have capitals.
const PERSON: &str = "^([a-z0-9_-][a-z0-9_.-]{0,63}|\\.[a-z0-9_-][a-z0-9_.-]{0,62})$";
/// A password.
const PASSWORD: &str = "^.{12,128}$";
const TYPE_NAME: &str = "^[a-z][a-z0-9_-]{0,63}$";
const DIGEST: &str = "^sha256:[0-9a-f]{64}$";
/// A number and a hash of the audit log.
const LINK: &str = "^[0-9]{1,18}:(sha256:)?[0-9a-f]{64}$";
/// The id of the end of a run: programs count as far without loss.
const EVENT_ID_MAX: i64 = (1 << 53) - 1;
/// Whatever it means: base64 without padding.
const CURSOR: &str = "^[A-Za-z0-9_-]*$";
const TAG: &str = "^[A-Za-z0-9_.-]{1,64}$";
const LABEL: &str = "^[A-Za-z0-9_.-]{1,64}:";
/// `Idempotency-Key`.
const KEY: &str = "^[!-~]{1,255}$";
const FILE_NAME: &str = "^[^/\\\\\\x00-\\x1f\\x7f-\\x9f]{1,255}$";
/// A text without control characters.
const PLAIN: &str = "^[^\\x00-\\x1f\\x7f-\\x9f]*$";
const DISPLAY_NAME: &str = "^[^\\x00-\\x1f\\x7f-\\x9f]{0,200}$";

/// The filter of runs.
const FILTER: &str = "FilterQuery";

/// What a text or a number must be beside its type.
enum Rule {
    Pattern(&'static str),
    Uuid,
    Date,
    Time,
    OneOf(Vec<&'static str>),
    Range(i64, i64),
    /// Characters.
    Length(usize),
}

use Rule::{Date, Length, OneOf, Pattern, Range, Time, Uuid};

/// Narrows everything that has a rule.
pub(super) fn describe(openapi: &mut OpenApi) {
    for (path, item) in &mut openapi.paths.paths {
        let operations =
            [(&mut item.get, true), (&mut item.put, false), (&mut item.post, false), (&mut item.patch, false), (&mut item.delete, false)];
        for (operation, is_get) in operations {
            if let Some(operation) = operation {
                parameters(path, is_get, operation);
            }
        }
    }
    let Some(components) = &mut openapi.components else { return };
    if let Some(RefOr::T(Schema::Object(filter))) = components.schemas.get_mut(FILTER) {
        // In a body; of a query what is not known is left alone.
        filter.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    }
    for (name, member, rule) in members() {
        let Some(RefOr::T(Schema::Object(schema))) = components.schemas.get_mut(name) else { continue };
        if let Some(RefOr::T(Schema::Object(object))) = schema.properties.get_mut(member) {
            narrow(object, rule);
        }
    }
}

fn parameters(path: &str, is_get: bool, operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(Parameter { name, parameter_in, schema: Some(RefOr::T(Schema::Object(object))), .. }) = parameter else { continue };
        never_null(object);
        let rule = match parameter_in {
            ParameterIn::Path => in_path(path, is_get, name),
            ParameterIn::Query => in_query(path, name),
            ParameterIn::Header => in_header(name),
            ParameterIn::Cookie | ParameterIn::QueryString => None,
        };
        if let Some(rule) = rule {
            narrow(object, rule);
        }
    }
}

/// What stands in a URL or a header is there or it is not.
fn never_null(object: &mut Object) {
    if let SchemaType::Array(types) = &mut object.schema_type {
        types.retain(|kind| *kind != Type::Null);
        if let [only] = types.as_slice() {
            object.schema_type = SchemaType::Type(only.clone());
        }
    }
}

fn in_header(name: &str) -> Option<Rule> {
    match name {
        "Idempotency-Key" => Some(Pattern(KEY)),
        "Last-Event-ID" => Some(Range(0, EVENT_ID_MAX)),
        _ => None,
    }
}

fn in_path(path: &str, is_get: bool, name: &str) -> Option<Rule> {
    // Whatever starts a script by its URL is an endpoint of a kind.
    let starts = !path.starts_with("/api/");
    let is_of_versions = starts || is_get && (path.contains("/scripts/") || path.contains("/programs/"));
    Some(match name {
        "path" if is_of_versions => Pattern(VERSIONED),
        "path" => Pattern(PATH),
        "workspace" | "plan" => Pattern(NAME),
        "name" if path.contains("/resource-types/") => Pattern(TYPE_NAME),
        "name" => Pattern(PERSON),
        "digest" => Pattern(DIGEST),
        "id" => Uuid,
        _ => return None,
    })
}

fn in_query(path: &str, name: &str) -> Option<Rule> {
    let (is_audit, is_usage) = (path.contains("/audit"), path.ends_with("/usage"));
    Some(match name {
        "cursor" => Pattern(CURSOR),
        "limit" => Range(1, i64::from(LIMIT_MAX)),
        "id" if path.contains("/trigger-events/") => Uuid,
        "kind" => Pattern(PLAIN),
        "target" if path.ends_with("/triggers") => Pattern(PATH),
        "from" | "to" if is_usage => Date,
        "outcome" if is_audit => {
            OneOf([AuditOutcome::Done, AuditOutcome::Denied, AuditOutcome::Failed, AuditOutcome::Unknown].map(AuditOutcome::name).to_vec())
        }
        "after" if path.ends_with("/events") => Range(0, EVENT_ID_MAX),
        "head" | "after" if path.ends_with("/verify") => Pattern(LINK),
        "actor" | "action" | "target" if is_audit => Pattern("^[^\\x00]*$"),
        _ => return of_filter(name),
    })
}

/// Of runs; times are written alike everywhere.
fn of_filter(name: &str) -> Option<Rule> {
    Some(match name {
        "path" | "trigger_path" => Pattern(PATH),
        "status" => OneOf(RunStatus::ALL.map(RunStatus::name).to_vec()),
        "outcome" => OneOf(OutcomeKind::ALL.map(OutcomeKind::name).to_vec()),
        "trigger" | "tag" | "run_as" => Pattern(PLAIN),
        "label" => Pattern(LABEL),
        "parent" | "rerun_of" | "handler_of" => Uuid,
        "from" | "before" => Time,
        _ => return None,
    })
}

/// Members of what is sent: the schema, the member, and what it must be.
fn members() -> Vec<(&'static str, &'static str, Rule)> {
    let filter = [
        "path",
        "status",
        "outcome",
        "trigger",
        "trigger_path",
        "tag",
        "run_as",
        "label",
        "parent",
        "rerun_of",
        "handler_of",
        "from",
        "before",
    ];
    let languages = [Language::TypeScript, Language::JavaScript, Language::Identity].map(Language::name).to_vec();
    let roles = Role::ALL.map(Role::name).to_vec();
    let mut members = vec![
        ("RunSubmission", "path", Pattern(VERSIONED)),
        ("RunSubmission", "delay_ms", Range(0, 366 * 24 * 3600 * 1000)),
        ("RunSubmission", "scheduled_for", Time),
        ("RunSubmission", "priority", Range(-1000, 1000)),
        ("RunSubmission", "tag", Pattern(TAG)),
        ("RunSubmission", "run_as", Pattern("^[ugs]/[A-Za-z0-9_.-]{1,64}$")),
        ("SourceSubmission", "language", OneOf(languages)),
        ("SourceSubmission", "file_name", Pattern(FILE_NAME)),
        ("BulkCancel", "cursor", Pattern(CURSOR)),
        ("BulkRerun", "cursor", Pattern(CURSOR)),
        ("BulkLetters", "cursor", Pattern(CURSOR)),
        ("TokenRequest", "label", Pattern("^[^\\x00-\\x1f\\x7f-\\x9f]{0,200}$")),
        ("TokenRequest", "start", Pattern(PATH)),
        ("TokenRequest", "identity", Pattern("^u/[A-Za-z0-9_.-]{1,64}$")),
        ("TokenRequest", "expires_at", Time),
        ("TokenRequest", "expires_in_s", Range(1, 100 * 366 * 24 * 3600)),
        ("RotateRequest", "overlap_s", Range(0, 30 * 24 * 3600)),
        ("WorkspaceRequest", "name", Pattern(NAME)),
        ("WorkspaceRequest", "plan", Pattern(NAME)),
        ("WorkspaceChange", "plan", Pattern(NAME)),
        ("PlanRequest", "description", Pattern("^[^\\x00]{0,1000}$")),
        ("SettingsChange", "error_handler", Pattern(PATH)),
        ("ResourceRequest", "type", Pattern(TYPE_NAME)),
        ("ResourceRequest", "description", Length(2_000)),
        ("TypeRequest", "description", Length(2_000)),
        ("VariableRequest", "description", Length(2_000)),
        ("UserRequest", "name", Pattern(PERSON)),
        ("UserRequest", "display_name", Pattern(DISPLAY_NAME)),
        ("UserRequest", "password", Pattern(PASSWORD)),
        ("UserPatch", "display_name", Pattern(DISPLAY_NAME)),
        ("UserPatch", "password", Pattern(PASSWORD)),
        ("PasswordRequest", "new", Pattern(PASSWORD)),
        ("AcceptRequest", "user", Pattern(PERSON)),
        ("AcceptRequest", "display_name", Pattern(DISPLAY_NAME)),
        ("AcceptRequest", "password", Pattern(PASSWORD)),
        ("MemberRequest", "role", OneOf(roles.clone())),
        ("InvitationRequest", "role", OneOf(roles)),
        ("InvitationRequest", "hours", Range(1, 30 * 24)),
    ];
    members.extend(members_of_triggers());
    members.extend(filter.into_iter().filter_map(|name| Some((FILTER, name, of_filter(name)?))));
    members
}

fn members_of_triggers() -> Vec<(&'static str, &'static str, Rule)> {
    let modes = Mode::ALL.map(Mode::name).to_vec();
    vec![
        ("TriggerRequest", "target", Pattern(PATH)),
        ("TriggerRequest", "mode", OneOf(modes.clone())),
        ("TriggerRequest", "description", Length(2_000)),
        ("TriggerRequest", "revision", Range(0, EVENT_ID_MAX)),
        ("ModeRequest", "mode", OneOf(modes)),
        ("ProbeRequest", "path", Pattern(PATH)),
        ("PreviewRequest", "path", Pattern(PATH)),
        ("PreviewRequest", "after", Time),
        ("PreviewRequest", "limit", Range(1, 100)),
        ("EventsRequest", "cursor", Pattern(CURSOR)),
        ("HeldRequest", "cursor", Pattern(CURSOR)),
    ]
}

fn narrow(object: &mut Object, rule: Rule) {
    match rule {
        Pattern(pattern) => object.pattern = Some(pattern.to_owned()),
        Uuid => object.format = Some(SchemaFormat::Custom("uuid".to_owned())),
        Date => object.format = Some(SchemaFormat::KnownFormat(KnownFormat::Date)),
        Time => object.format = Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)),
        OneOf(names) => {
            let may_be_null = matches!(&object.schema_type, SchemaType::Array(types) if types.contains(&Type::Null));
            let null = may_be_null.then_some(serde_json::Value::Null);
            object.enum_values = Some(names.into_iter().map(serde_json::Value::from).chain(null).collect());
        }
        Range(minimum, maximum) => {
            object.minimum = isize::try_from(minimum).ok().map(Number::Int);
            object.maximum = isize::try_from(maximum).ok().map(Number::Int);
        }
        Length(characters) => object.max_length = Some(characters),
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::trigger::Kinds;
    use serde_json::Value;

    use super::*;

    /// A rule for what is not there any more would tell nobody.
    #[test]
    fn every_rule_has_its_member() {
        let description: Value = serde_json::from_str(&crate::openapi(&Kinds::default())).unwrap();
        for (name, member, _) in members() {
            let found = &description["components"]["schemas"][name]["properties"][member];
            let is_narrow = ["pattern", "format", "enum", "maximum", "maxLength"].iter().any(|key| !found[key].is_null());
            assert!(is_narrow, "{name}.{member}: {found}");
        }
    }

    #[test]
    fn paths_and_ids_in_urls_say_what_they_are() {
        let description: Value = serde_json::from_str(&crate::openapi(&Kinds::default())).unwrap();
        for (path, item) in description["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                for parameter in operation["parameters"].as_array().into_iter().flatten().filter(|each| each["in"] == "path") {
                    let has_rule = matches!(parameter["name"].as_str(), Some("workspace" | "path" | "id" | "digest" | "plan"));
                    let is_narrow = ["pattern", "format"].iter().any(|key| parameter["schema"][key].is_string());
                    assert!(is_narrow || !has_rule, "{method} {path}: {parameter}");
                }
            }
        }
    }
}
