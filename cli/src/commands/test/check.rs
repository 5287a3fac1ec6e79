//! What came of a case, held against what was expected.

use sandmill_model::{Code, Outcome, OutcomeKind, Output, RunError};
use serde_json::{Value, json};

use super::{
    case::{Expected, Fails},
    diff,
};
use crate::{client::LogLine, commands::run, local::LocalCaseEnd};

const OK: u16 = 200;
/// What the host says of a denial is about scripts that are deployed.
const DENIED_HINT: &str = "in a test nothing is granted by a command: the manifest asks for it under [grants], and `fakes` of the case has it \
                           (variables, secrets, resources, runs, http)";

/// A case that was run.
pub(super) struct Held {
    /// What is not as expected, a line or more each; none: it passed.
    pub(super) faults: Vec<String>,
    /// What to do about them, where that is known.
    pub(super) hint: Option<&'static str>,
    pub(super) log: Vec<LogLine>,
}

/// How a run ended.
enum End {
    /// Its result, and the status that it asks for.
    Well(Value, u16),
    Badly(Failure),
}

struct Failure {
    code: String,
    name: String,
    message: String,
    stack: Option<String>,
    status: u16,
}

pub(super) fn hold(expected: &Expected, end: &LocalCaseEnd) -> Held {
    let log: Vec<LogLine> = end.outcome.as_ref().map(|outcome| outcome.log.iter().map(run::line).collect()).unwrap_or_default();
    let ended = match &end.outcome {
        Ok(outcome) => of_outcome(outcome, expected),
        Err(refusal) => End::Badly(Failure {
            code: refusal.code.name().to_owned(),
            name: refusal.code.name().to_owned(),
            message: refusal.detail.clone(),
            stack: None,
            status: refusal.code.status().as_u16(),
        }),
    };
    let mut faults = Vec::new();
    match &ended {
        End::Well(result, status) => held_well(expected, result, *status, &mut faults),
        End::Badly(failure) => held_badly(expected, failure, &mut faults),
    }
    for text in &expected.log {
        if !log.iter().any(|line| says(line, text)) {
            faults.push(format!("the log does not say {}", diff::shown(&json!(text))));
        }
    }
    for (key, value) in &expected.state {
        let actual = end.state.get(key).and_then(Option::as_ref).and_then(|text| text.read::<Value>().ok()).unwrap_or(Value::Null);
        let lines = diff::lines(value, &actual);
        faults.extend(lines.into_iter().map(|line| format!("state {}: {line}", diff::shown(&json!(key)))));
    }
    let is_denied = matches!(&ended, End::Badly(failure) if failure.code == OutcomeKind::Denied.name());
    let hint = (is_denied && !faults.is_empty()).then_some(DENIED_HINT);
    Held { faults, hint, log }
}

fn held_well(expected: &Expected, result: &Value, status: u16, faults: &mut Vec<String>) {
    if let Some(fails) = &expected.fails {
        faults.push(format!("expected that it fails{}, got {}", described(fails), diff::shown(result)));
        return;
    }
    if let Some(expect) = &expected.result {
        faults.extend(diff::lines(expect, result));
    }
    for predicate in expected.result_where.iter().filter(|predicate| !predicate.fits(result)) {
        let operator = serde_json::to_value(predicate.operator).unwrap_or_default();
        let found = result.pointer(&predicate.pointer).map_or_else(|| "nothing".to_owned(), diff::shown);
        let value = if predicate.value.is_null() { String::new() } else { format!(" {}", diff::shown(&predicate.value)) };
        let pointer = if predicate.pointer.is_empty() { "(result)" } else { &predicate.pointer };
        faults.push(format!("{pointer}: expected {}{value}, got {found}", operator.as_str().unwrap_or_default()));
    }
    hold_status(expected, status, faults);
}

fn held_badly(expected: &Expected, failure: &Failure, faults: &mut Vec<String>) {
    let whole = || {
        let stack = failure.stack.as_deref().map(|stack| format!("\n{}", stack.trim_end())).unwrap_or_default();
        format!("{} ({}): {}{stack}", failure.name, failure.code, failure.message)
    };
    // A status of an error says as much as `fails` without more.
    let Some(fails) = &expected.fails else {
        if expected.status.is_none_or(|status| status < 400) || expected.result.is_some() || !expected.result_where.is_empty() {
            faults.push(format!("it failed: {}", whole()));
        } else {
            hold_status(expected, failure.status, faults);
        }
        return;
    };
    let is_other = |expected: &Option<String>, actual: &str| expected.as_ref().is_some_and(|expected| expected != actual);
    let is_missing = fails.message.as_ref().is_some_and(|part| !failure.message.contains(part.as_str()));
    if is_other(&fails.code, &failure.code) || is_other(&fails.name, &failure.name) || is_missing {
        faults.push(format!("expected that it fails{}, got {}", described(fails), whole()));
    }
    hold_status(expected, failure.status, faults);
}

fn hold_status(expected: &Expected, actual: u16, faults: &mut Vec<String>) {
    if let Some(status) = expected.status
        && status != actual
    {
        faults.push(format!("expected status {status}, got {actual}"));
    }
}

fn described(fails: &Fails) -> String {
    let parts = [("code", &fails.code), ("name", &fails.name), ("message", &fails.message)];
    parts.iter().filter_map(|(key, value)| value.as_ref().map(|value| format!(" with {key} {}", diff::shown(&json!(value))))).collect()
}

/// In its message, or as the API writes the line.
fn says(line: &LogLine, text: &str) -> bool {
    line.message.contains(text) || serde_json::to_string(line).is_ok_and(|line| line.contains(text))
}

fn of_outcome(outcome: &Outcome, expected: &Expected) -> End {
    match outcome.kind {
        OutcomeKind::Ok => well(result(outcome.output.as_ref()), expected),
        OutcomeKind::Skipped => End::Well(Value::Null, OK),
        kind => {
            let error = outcome.error.clone().unwrap_or_else(|| RunError::new(kind.name(), "the run failed"));
            let RunError { name, message, stack, details, rejects } = error;
            let status = rejects.unwrap_or_else(|| Code::of_outcome(kind).map_or(OK, |code| code.status().as_u16()));
            // Each fault of arguments is in the message; what a script threw may have more.
            let message = match details.filter(|_| kind == OutcomeKind::Error) {
                Some(details) => format!("{message} {}", details.as_str()),
                None => message,
            };
            End::Badly(Failure { code: kind.name().to_owned(), name, message, stack, status })
        }
    }
}

/// A result that says how it is answered over HTTP is its body, unless the whole is expected.
fn well(result: Value, expected: &Expected) -> End {
    let Some(answer) = result.get("$http").and_then(Value::as_object) else { return End::Well(result, OK) };
    let status = answer.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok()).unwrap_or(OK);
    if expected.result.as_ref().is_some_and(|expected| expected.get("$http").is_some()) {
        return End::Well(result, status);
    }
    let body = answer.get("body").cloned().unwrap_or(Value::Null);
    End::Well(body, status)
}

fn result(output: Option<&Output>) -> Value {
    match output {
        Some(Output::Json(text)) => text.read().unwrap_or_else(|_| json!(text.as_str())),
        Some(Output::Bytes { data, .. }) => serde_json::from_slice(data).unwrap_or_else(|_| json!(String::from_utf8_lossy(data))),
        // Nothing is kept apart where there is no server.
        Some(Output::Kept(_)) | None => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use sandmill_model::{JsonText, Usage, code::Refusal};

    use super::*;

    fn returned(result: &Value) -> LocalCaseEnd {
        let output = Some(Output::Json(JsonText::trusted(result.to_string())));
        let outcome = Outcome { kind: OutcomeKind::Ok, output, error: None, arguments: None, usage: Usage::default(), log: Vec::new() };
        LocalCaseEnd { outcome: Ok(outcome), state: BTreeMap::new(), took: Duration::ZERO }
    }

    fn threw(name: &str, message: &str) -> LocalCaseEnd {
        let outcome = Outcome::failed(OutcomeKind::Error, RunError::new(name, message));
        LocalCaseEnd { outcome: Ok(outcome), state: BTreeMap::new(), took: Duration::ZERO }
    }

    fn fails(code: &str, message: &str) -> Expected {
        let fails = Fails { code: Some(code.to_owned()), name: None, message: Some(message.to_owned()) };
        Expected { fails: Some(fails), ..Expected::default() }
    }

    fn check(expected: &Expected, end: &LocalCaseEnd, faults: &[&str]) {
        let held = hold(expected, end).faults;
        assert_eq!(held.len(), faults.len(), "{expected:?} {held:?}");
        assert!(held.iter().zip(faults).all(|(held, part)| held.contains(part)), "{expected:?} {held:?}");
    }

    #[test]
    fn results() {
        let expect = |value: Value| Expected { result: Some(value), ..Expected::default() };
        check(&Expected::default(), &returned(&json!(1)), &[]);
        check(&expect(json!({"a": 1})), &returned(&json!({"a": 2})), &["/a: expected 1, got 2"]);
        check(&expect(json!(1)), &threw("Error", "no"), &["it failed: Error (error): no"]);
        let answer = json!({"$http": {"status": 401, "body": {"a": 1}}});
        check(&Expected { status: Some(401), ..expect(json!({"a": 1})) }, &returned(&answer), &[]);
        check(&expect(answer.clone()), &returned(&answer), &[]);
        check(&Expected { status: Some(200), ..Expected::default() }, &returned(&answer), &["expected status 200, got 401"]);
        let predicate = serde_json::from_value(json!({"pointer": "/a", "operator": "greater", "value": 1})).unwrap();
        let wanted = Expected { result_where: vec![predicate], ..Expected::default() };
        check(&wanted, &returned(&json!({"a": 2})), &[]);
        check(&wanted, &returned(&json!({"a": 1})), &["/a: expected greater 1, got 1"]);
        check(&wanted, &returned(&json!({})), &["got nothing"]);
    }

    #[test]
    fn failures() {
        check(&fails("error", "negative"), &threw("RangeError", "it is negative"), &[]);
        check(&fails("error", "positive"), &threw("RangeError", "it is negative"), &["got RangeError (error): it is negative"]);
        check(&fails("timeout", ""), &threw("Error", "x"), &["with code \"timeout\""]);
        check(&fails("error", "x"), &returned(&json!(1)), &["expected that it fails"]);
        check(&Expected { status: Some(500), ..Expected::default() }, &threw("Error", "x"), &[]);
        let refusal = Refusal::new(Code::IdempotencyMismatch, "another request");
        let refused = LocalCaseEnd { outcome: Err(refusal), state: BTreeMap::new(), took: Duration::ZERO };
        check(&Expected { status: Some(422), ..fails("idempotency_mismatch", "") }, &refused, &[]);
    }

    #[test]
    fn a_denial_is_cured_in_the_case() {
        let denied = |expected: &Expected, kind: OutcomeKind| {
            let outcome = Outcome::failed(kind, RunError::new("VariableError", "deploy it again with --grant"));
            hold(expected, &LocalCaseEnd { outcome: Ok(outcome), state: BTreeMap::new(), took: Duration::ZERO })
        };
        assert!(denied(&Expected::default(), OutcomeKind::Denied).hint.is_some_and(|hint| hint.contains("`fakes`")));
        assert!(denied(&fails("timeout", ""), OutcomeKind::Denied).hint.is_some());
        assert!(denied(&fails("denied", ""), OutcomeKind::Denied).hint.is_none(), "as it was expected");
        assert!(denied(&Expected::default(), OutcomeKind::Error).hint.is_none());
    }

    #[test]
    fn log_and_state() {
        let mut end = returned(&json!(1));
        end.state.insert("n".to_owned(), Some(JsonText::trusted("2")));
        let state = BTreeMap::from([("n".to_owned(), json!(1)), ("none".to_owned(), Value::Null)]);
        let expected = Expected { log: vec!["hi".to_owned()], state, ..Expected::default() };
        check(&expected, &end, &["does not say \"hi\"", "state \"n\": (result): expected 1, got 2"]);
    }
}
