//! Case files: one case or a list of them, beside a script or in its project.

use std::{collections::BTreeMap, fs, path::Path};

use sandmill_model::{Input, JsonText, build::Diagnostic, predicate::Predicate};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

use super::{
    fakes::{self, Fakes},
    find,
};
use crate::{error::CliError, event::WrittenEvent, local::LocalFakes};

/// Bytes of a case file.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A run, and what is expected of it.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) input: Input,
    pub(super) idempotency_key: Option<String>,
    /// It runs in what the case before it left.
    pub(super) continues: bool,
    pub(super) fakes: LocalFakes,
    pub(super) expected: Expected,
    /// Keys whose expectations only a test over HTTP can look at.
    pub(super) unseen: Vec<&'static str>,
}

/// What is not said is not looked at; only that the run ends well is expected of all that say nothing else.
#[derive(Clone, Debug, Default)]
pub(super) struct Expected {
    pub(super) result: Option<Value>,
    pub(super) result_where: Vec<Predicate>,
    pub(super) fails: Option<Fails>,
    /// The status over HTTP that the outcome has.
    pub(super) status: Option<u16>,
    pub(super) log: Vec<String>,
    /// Null: there is no such key, or it is null.
    pub(super) state: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fails {
    /// The outcome, e.g. `error`, `denied` or `timeout`.
    pub(super) code: Option<String>,
    /// The error's own name.
    pub(super) name: Option<String>,
    /// A part of its message.
    pub(super) message: Option<String>,
}

/// A case as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Option<String>,
    args: Option<JsonText>,
    event: Option<WrittenEvent>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    continues: bool,
    #[serde(default)]
    fakes: Option<Fakes>,
    #[serde(default, deserialize_with = "given")]
    expect: Option<Value>,
    #[serde(default)]
    expect_where: Vec<Predicate>,
    fails: Option<Fails>,
    status: Option<u16>,
    #[serde(default)]
    log: Vec<String>,
    #[serde(default)]
    expect_state: BTreeMap<String, Value>,
    // What tests over HTTP look at; a run in the sandbox has none of it, and whoever reads the answer is told.
    stream: Option<IgnoredAny>,
    labels: Option<IgnoredAny>,
    handler: Option<IgnoredAny>,
}

/// Null is a value, too.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// The cases of a file, in order.
///
/// # Errors
/// What is wrong in which case.
pub(super) fn read(file: &Path) -> Result<Vec<Case>, CliError> {
    let cannot = |error: std::io::Error| CliError::input(format!("cannot read {}: {error}", file.display()));
    let found = fs::metadata(file).map_err(cannot)?;
    if !found.is_file() || found.len() > FILE_BYTES_MAX {
        return Err(CliError::input(format!("{} is no regular file of at most {FILE_BYTES_MAX} bytes", file.display())));
    }
    let text = fs::read_to_string(file).map_err(cannot)?;
    parse(&text).map_err(|fault| CliError::Diagnostics(vec![fault.diagnostic(file, &text)]))
}

/// What is wrong with a file.
#[derive(Debug)]
struct Fault {
    message: String,
    /// Bytes of the file before it.
    at: usize,
}

impl Fault {
    /// Of a part of the file that begins at `base`.
    fn of_json(error: &serde_json::Error, text: &str, base: usize, head: &str) -> Self {
        let (line, column) = (error.line(), error.column());
        let whole = error.to_string();
        let message = whole.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&whole);
        let part = text.get(base..).unwrap_or_default();
        let within = if error.is_eof() {
            part.trim_end().len()
        } else {
            // Columns are bytes, from 1; it is 0 where nothing of the line was looked at.
            let lines: usize = part.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
            lines + column.saturating_sub(1)
        };
        Self { message: format!("{head}{message}"), at: base + within }
    }

    fn diagnostic(self, file: &Path, text: &str) -> Diagnostic {
        let at = (0..=self.at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let (before, start) = (&text[..at], text[..at].rfind('\n').map_or(0, |end| end + 1));
        let number = |count: usize| u32::try_from(count + 1).unwrap_or(u32::MAX);
        Diagnostic {
            file: find::shown(file),
            line: number(before.matches('\n').count()),
            column: number(before[start..].chars().count()),
            message: self.message,
            source_line: text[start..].lines().next().unwrap_or_default().to_owned(),
            help: None,
        }
    }
}

fn parse(text: &str) -> Result<Vec<Case>, Fault> {
    sandmill_model::json::check(text).map_err(|error| Fault::of_json(&error, text, 0, "it is not valid JSON: "))?;
    let is_list = text.trim_start().starts_with('[');
    let listed = if is_list { serde_json::from_str(text) } else { serde_json::from_str(text).map(|one| vec![one]) };
    let parts: Vec<&RawValue> = listed.map_err(|error| Fault::of_json(&error, text, 0, ""))?;
    if parts.is_empty() {
        let message = "there is no case in it; write one, e.g. [{\"args\": {}, \"expect\": null}]".to_owned();
        return Err(Fault { message, at: 0 });
    }
    let mut cases = Vec::new();
    for (index, part) in parts.into_iter().map(RawValue::get).enumerate() {
        let number = index + 1;
        // It lies in the text.
        let at = part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        let written = serde_json::from_str(part).map_err(|error| Fault::of_json(&error, text, at, &format!("case {number}: ")))?;
        let case = one(written, number).map_err(|fault| Fault { message: format!("case {number}: {fault}"), at })?;
        if number == 1 && case.continues {
            return Err(Fault { message: "case 1: `continues` is for a case that has another before it".to_owned(), at });
        }
        cases.push(case);
    }
    Ok(cases)
}

fn one(written: Written, number: usize) -> Result<Case, String> {
    let Written {
        name,
        args,
        event,
        headers,
        continues,
        fakes,
        expect,
        expect_where,
        fails,
        status,
        log,
        expect_state,
        stream,
        labels,
        handler,
    } = written;
    for predicate in &expect_where {
        predicate.check().map_err(|fault| format!("expect_where: {fault}"))?;
    }
    if fails.is_some() && (expect.is_some() || !expect_where.is_empty()) {
        return Err("`fails` goes with neither `expect` nor `expect_where`: a run that fails has no result".to_owned());
    }
    if continues && fakes.is_some() {
        return Err("a case that `continues` has the fakes of the case before it; it cannot have its own".to_owned());
    }
    let input = match (args, event) {
        (Some(_), Some(_)) => return Err("`args` and `event` exclude each other".to_owned()),
        (Some(args), None) if args.is_object() => Input::Arguments(args),
        (Some(_), None) => return Err("`args` is an object: arguments have names".to_owned()),
        (None, Some(event)) => Input::Event(event.read()?),
        (None, None) => return Err("it has neither `args` nor `event`; a script without arguments is called with \"args\": {}".to_owned()),
    };
    let fakes = fakes::read(fakes.unwrap_or_default()).map_err(|fault| format!("fakes: {fault}"))?;
    let expected = Expected { result: expect, result_where: expect_where, fails, status, log, state: expect_state };
    let name = name.unwrap_or_else(|| format!("case {number}"));
    let unseen = [("stream", stream), ("labels", labels), ("handler", handler)];
    let unseen = unseen.into_iter().filter_map(|(key, value)| value.map(|_| key)).collect();
    Ok(Case { name, input, idempotency_key: idempotency_key(headers)?, continues, fakes, expected, unseen })
}

/// Of headers beside `args` one means something to a run.
fn idempotency_key(headers: BTreeMap<String, String>) -> Result<Option<String>, String> {
    let mut key = None;
    for (name, value) in headers {
        if !name.eq_ignore_ascii_case(IDEMPOTENCY_KEY) {
            return Err(format!("headers: `{name}` means nothing beside `args`; headers of a request go into `event`"));
        }
        key = Some(value);
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fault(text: &str) -> String {
        parse(text).err().map(|fault| fault.message).unwrap_or_default()
    }

    #[test]
    fn faults_have_a_place() {
        for (text, line, column, source_line) in [
            ("", 1, 1, ""),
            ("[\n  {\"args\": {}}\n", 2, 15, "  {\"args\": {}}"),
            ("[\n  {\"args\": {},}\n]\n", 2, 15, "  {\"args\": {},}"),
            (
                "[{\"args\": {}},\r\n {\"name\": \"ü\", \"args\": {}, \"expects\": 1}]",
                2,
                36,
                " {\"name\": \"ü\", \"args\": {}, \"expects\": 1}]",
            ),
            ("[{\"args\": {}},\n\n  {\n    \"name\": 1}]", 4, 13, "    \"name\": 1}]"),
            ("[{\"args\": {}},\n  {}]", 2, 3, "  {}]"),
        ] {
            let fault = parse(text).err().unwrap().diagnostic(Path::new("hello.case.json"), text);
            assert_eq!((fault.line, fault.column, fault.source_line.as_str()), (line, column, source_line), "{text}: {}", fault.message);
            assert!(!fault.message.contains(" column ") && fault.file.ends_with("hello.case.json"), "{}", fault.message);
        }
    }

    #[test]
    fn one_case_or_a_list() {
        let cases = parse(r#"{"args": {"n": 12345678901234567890123}, "expect": null}"#).unwrap();
        assert_eq!(cases[0].name, "case 1");
        assert_eq!(cases[0].input.arguments().as_str(), r#"{"n": 12345678901234567890123}"#, "digits stay");
        assert_eq!(cases[0].expected.result, Some(Value::Null));
        let cases = parse(r#"[{"args": {}}, {"name": "again", "args": {}, "continues": true, "log": ["x"]}]"#).unwrap();
        assert_eq!((cases.len(), cases[1].name.as_str(), cases[1].continues), (2, "again", true));
        assert_eq!(cases[0].expected.result, None);
    }

    #[test]
    fn what_tests_over_http_look_at_is_taken() {
        let text = r#"{"headers": {"Idempotency-Key": "o-1"}, "args": {}, "status": 500, "fails": {"code": "error"}, "labels": {}, "stream": ["end"], "handler": "x"}"#;
        let cases = parse(text).unwrap();
        assert_eq!(cases[0].idempotency_key.as_deref(), Some("o-1"));
        assert_eq!(cases[0].expected.status, Some(500));
    }

    #[test]
    fn events() {
        let cases = parse(r#"{"event": {"headers": {"X-A": "1"}, "body": "text"}}"#).unwrap();
        let Input::Event(event) = &cases[0].input else { panic!("an event") };
        assert_eq!((&*event.trigger.kind, &event.payload[..]), ("http", &b"text"[..]));
        let metadata: Value = event.metadata.read().unwrap();
        assert_eq!(metadata, json!({"headers": {"x-a": "1"}, "method": "POST", "query": {}}));
        let cases = parse(r#"{"event": {"kind": "kafka", "metadata": {"topic": "t"}, "payload": {"a": 1}}}"#).unwrap();
        let Input::Event(event) = &cases[0].input else { panic!("an event") };
        assert_eq!((&event.payload[..], event.metadata.as_str()), (&br#"{"a": 1}"#[..], r#"{"topic":"t"}"#));
    }

    #[test]
    fn faults_name_the_key_and_the_case() {
        for (text, parts) in [
            ("", vec!["not valid JSON"]),
            ("[]", vec!["no case"]),
            (r#"[{"args": {}}, {"args": {}, "expects": 1}]"#, vec!["case 2", "expects"]),
            (r#"{"args": {}, "fakes": {"variable": {}}}"#, vec!["case 1", "variable"]),
            (r#"{"args": {}, "fails": {"kind": "error"}}"#, vec!["case 1", "kind"]),
            (r#"{"args": []}"#, vec!["case 1", "args"]),
            (r#"{}"#, vec!["neither"]),
            (r#"{"args": {}, "event": {}}"#, vec!["exclude"]),
            (r#"{"event": {"body": 1, "payload": 2}}"#, vec!["payload"]),
            (r#"{"args": {}, "headers": {"x": "1"}}"#, vec!["`x`"]),
            (r#"{"args": {}, "continues": true}"#, vec!["continues"]),
            (r#"[{"args": {}}, {"args": {}, "continues": true, "fakes": {}}]"#, vec!["case 2", "continues"]),
            (r#"{"args": {}, "fails": {}, "expect": 1}"#, vec!["fails"]),
            (r#"{"args": {}, "expect_where": [{"pointer": "x", "operator": "exists"}]}"#, vec!["expect_where", "pointer"]),
        ] {
            let fault = fault(text);
            assert!(!fault.is_empty() && parts.iter().all(|part| fault.contains(part)), "{text}: {fault}");
        }
    }
}
