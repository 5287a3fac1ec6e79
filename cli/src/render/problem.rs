//! Errors for people and for programs.

use std::fmt::Write;

use sandmill_model::OutcomeKind;
use serde_json::{Value, json};

use super::{Paint, Severity, clean, clean_line, diagnostics};
use crate::{client::Problem, error::CliError};

/// Empty if everything was said already.
pub(crate) fn error(error: &CliError, paint: Paint) -> String {
    let label = paint.red("error");
    match error {
        CliError::Input(text) | CliError::Unreachable(text) => format!("{label}: {}", clean(text)),
        CliError::Diagnostics(faults) => diagnostics(Severity::Error, faults, paint),
        CliError::RunFailed(kind, error) => run_error(*kind, &error.name, &error.message, error.stack.as_deref(), paint),
        CliError::Problem(problem) => of_problem(problem, paint),
        CliError::Said(_) => String::new(),
    }
}

/// A run's error: what the script threw, or what stopped it.
pub(crate) fn run_error(kind: OutcomeKind, name: &str, message: &str, stack: Option<&str>, paint: Paint) -> String {
    // The host's own outcomes carry their name as the error's; saying it twice helps nobody.
    let head = if name == kind.name() {
        format!("{}: {}", paint.red(name), clean(message))
    } else {
        format!("{}: {}", paint.red(&clean_line(name)), clean(message))
    };
    match stack {
        Some(stack) => format!("{head}\n{}", paint.dim(&clean(&frames(stack, name, message)))),
        None => head,
    }
}

/// Some engines repeat name and message at the start of a stack.
fn frames(stack: &str, name: &str, message: &str) -> String {
    let stack = stack.trim_end();
    let rest = stack.strip_prefix(&format!("{name}: {message}")).unwrap_or(stack);
    rest.trim_start_matches('\n').to_owned()
}

fn of_problem(problem: &Problem, paint: Paint) -> String {
    if !problem.diagnostics.is_empty() {
        return diagnostics(Severity::Error, &problem.diagnostics, paint);
    }
    let mut text = match (&problem.error, OutcomeKind::from_name(&problem.code)) {
        (Some(error), Some(kind)) => run_error(kind, &error.name, &error.message, error.stack.as_deref(), paint),
        _ => {
            // The faults follow one by one; a detail that repeats them is left out.
            let first = if problem.faults.is_empty() { &problem.detail } else { &problem.title };
            let what = [first, &problem.detail, &problem.title, &problem.code].into_iter().find(|text| !text.is_empty());
            format!("{}: {}", paint.red("error"), clean(what.map_or("the server refused without a reason", String::as_str)))
        }
    };
    for fault in &problem.faults {
        let whole = if problem.code == "invalid_resource" { "(value)" } else { "(arguments)" };
        let pointer = if fault.pointer.is_empty() { whole } else { &fault.pointer };
        let _infallible = write!(text, "\n  {}: {}", paint.bold(&clean_line(pointer)), clean(&fault.message));
    }
    let mut traces = vec![problem.code.clone()];
    traces.extend(problem.run_id.as_ref().map(|id| format!("run {id}")));
    traces.extend(problem.request_id.as_ref().map(|id| format!("request {id}")));
    let _infallible = write!(text, "\n{}", paint.dim(&clean_line(&format!("({})", traces.join(", ")))));
    text
}

/// None if everything was said already.
pub(crate) fn error_json(error: &CliError) -> Option<Value> {
    let code = |code: &str, detail: &str| json!({"code": code, "detail": detail});
    Some(match error {
        CliError::Input(text) => code("bad_input", text),
        CliError::Unreachable(text) => code("unreachable", text),
        CliError::Diagnostics(faults) => json!({"code": "compile_failed", "diagnostics": faults}),
        CliError::RunFailed(kind, error) => json!({"code": kind.name(), "error": error}),
        CliError::Problem(problem) => problem.whole.clone(),
        CliError::Said(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(body: &Value) -> String {
        let problem = Problem::parse(500, body.to_string().as_bytes());
        error(&CliError::Problem(Box::new(problem)), Paint::Plain)
    }

    #[test]
    fn problems_for_people() {
        let failed = json!({"code": "error", "title": "The script failed", "detail": "x", "request_id": "r1", "run_id": "u1",
            "error": {"name": "TypeError", "message": "no", "stack": "TypeError: no\n    at main (hello.ts:3:1)"}});
        assert_eq!(shown(&failed), "TypeError: no\n    at main (hello.ts:3:1)\n(error, run u1, request r1)");
        let faults = json!({"code": "invalid_arguments", "title": "They do not fit", "detail": "/n: is not a number", "request_id": "r1", "faults": [{"pointer": "/n", "message": "is not a number"}]});
        assert_eq!(shown(&faults), "error: They do not fit\n  /n: is not a number\n(invalid_arguments, request r1)");
        assert_eq!(shown(&json!({"code": "x"})), "error: x\n(x)");
    }

    #[test]
    fn a_terminal_is_not_at_a_scripts_mercy() {
        let evil = json!({"code": "error", "error": {"name": "E\u{1b}[2J", "message": "\u{1b}]0;x\u{7}", "stack": "\u{1b}"}});
        assert!(!shown(&evil).contains('\u{1b}'));
    }

    #[test]
    fn problems_for_programs_pass_through() {
        let body = json!({"code": "error", "unknown": [1]});
        let problem = Problem::parse(500, body.to_string().as_bytes());
        assert_eq!(error_json(&CliError::Problem(Box::new(problem))), Some(body));
    }
}
