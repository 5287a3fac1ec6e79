//! Nothing starts a run but `dispatch::accept`.

use regex::Regex;

use super::Fault;
use crate::tree::Tree;

const HOME: &str = "host/dispatch/";
/// They define what dispatch calls.
const CALLEES: &[&str] = &["host/store/", "host/model/"];

#[must_use]
pub fn check(tree: &Tree) -> Vec<Fault> {
    let Ok(call) = Regex::new(
        r"(?:\b(?:queue|runs)(?:\(\))?\s*\.\s*enqueue\w*|\bhistory(?:\(\))?\s*\.\s*append\w*|\bexecutor(?:\(\))?\s*\.\s*execute)\s*\(",
    ) else {
        return Vec::new();
    };
    let elsewhere = tree
        .host_sources()
        .filter(|file| !file.is_test() && !file.path.starts_with(HOME) && !CALLEES.iter().any(|callee| file.path.starts_with(callee)));
    let mut faults = Vec::new();
    for file in elsewhere {
        for (number, line) in file.shipped_lines() {
            if call.is_match(line) {
                let message = "starts or records a run behind dispatch's back; nothing does but `dispatch::accept`: no second path, not for retries, flows, schedules or the command line";
                faults.push(Fault::new(format!("{}:{number}", file.path), message));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dispatch_starts_runs() {
        for (path, line, faults) in [
            ("host/dispatch/src/accept.rs", "self.queue.enqueue(run)", 0),
            ("host/api/src/runs.rs", "state.queue.enqueue(run).await", 1),
            ("host/api/src/runs.rs", "store.queue().enqueue_many(runs)", 1),
            ("host/server/src/local.rs", "executor.execute(attempt).await", 1),
            ("host/api/src/runs.rs", "self.history.append(&[run])", 1),
            ("host/api/src/runs.rs", "lines.append(&mut more)", 0),
            ("host/store/src/contract/tests.rs", "queue.enqueue(run)", 0),
            ("host/api/src/runs.rs", "// never queue.enqueue(run)", 0),
        ] {
            assert_eq!(check(&Tree::of(&[(path, line)])).len(), faults, "{path}: {line}");
        }
    }
}
