//! Bodies of the API, as far as the commands look into them.

use sandmill_model::build::Diagnostic;
use serde::{Deserialize, Serialize};

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// Who answers, and as whom we are known.
#[derive(Debug, Deserialize)]
pub(crate) struct Instance {
    /// E.g. `u/ann`.
    pub(crate) identity: Option<String>,
}

/// A node of the installation.
#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) release: String,
    pub(crate) roles: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) slots: u64,
    pub(crate) running: u64,
    pub(crate) seen_at: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) run_id: String,
    pub(crate) status: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Deployed {
    pub(crate) path: String,
    pub(crate) number: i64,
    #[serde(default)]
    pub(crate) warnings: Vec<Diagnostic>,
    /// Grants that it asks for and was not given.
    #[serde(default)]
    pub(crate) missing: Vec<String>,
}

/// What a script asks for and what it was given.
#[derive(Debug, Deserialize)]
pub(crate) struct Granted {
    pub(crate) asked: Vec<String>,
    pub(crate) given: Vec<Given>,
    pub(crate) missing: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Given {
    pub(crate) grant: String,
    pub(crate) by: String,
    pub(crate) at: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Script {
    pub(crate) path: String,
    pub(crate) number: i64,
    pub(crate) version: String,
    pub(crate) language: String,
    pub(crate) created_at: String,
    pub(crate) created_by: String,
    pub(crate) description: Option<String>,
    /// Only where one script is shown.
    pub(crate) schema: Option<serde_json::Value>,
    pub(crate) source: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) number: i64,
    pub(crate) status: String,
    pub(crate) outcome: Option<String>,
    pub(crate) trigger: Option<String>,
    pub(crate) attempt: u32,
    pub(crate) run_as: String,
    pub(crate) created_at: String,
    pub(crate) started_at: Option<String>,
    pub(crate) ended_at: Option<String>,
    /// The rest only where one run is shown.
    pub(crate) arguments: Option<Box<serde_json::value::RawValue>>,
    pub(crate) error: Option<RunError>,
    pub(crate) usage: Option<Usage>,
    pub(crate) progress: Option<Progress>,
}

impl Run {
    pub(crate) const fn has_ended(&self) -> bool {
        self.outcome.is_some()
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Usage {
    pub(crate) fuel: u64,
    pub(crate) memory_peak_bytes: u64,
    pub(crate) cpu_ns: u64,
    pub(crate) wall_ns: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Progress {
    pub(crate) percent: f64,
    pub(crate) text: String,
}

/// What a script threw, or what stopped it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct RunError {
    pub(crate) name: String,
    pub(crate) message: String,
    pub(crate) stack: Option<String>,
}

/// One line of a run's log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LogLine {
    pub(crate) at: String,
    pub(crate) level: String,
    pub(crate) stream: String,
    pub(crate) message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fields: Option<serde_json::Value>,
}

/// What became of many runs at once.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct BulkReceipt {
    pub(crate) done: u64,
    pub(crate) ending: u64,
    pub(crate) passed_over: u64,
    pub(crate) problems: Vec<BulkProblem>,
    pub(crate) next: Option<String>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct BulkProblem {
    pub(crate) run: String,
    pub(crate) code: String,
    pub(crate) detail: String,
}

impl BulkReceipt {
    pub(crate) fn add(&mut self, other: Self) {
        self.done += other.done;
        self.ending += other.ending;
        self.passed_over += other.passed_over;
        self.problems.extend(other.problems);
        self.next = other.next;
    }
}

impl std::fmt::Display for BulkReceipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} done", self.done)?;
        if self.ending > 0 {
            write!(f, ", {} being ended", self.ending)?;
        }
        if self.passed_over > 0 {
            write!(f, ", {} passed over", self.passed_over)?;
        }
        Ok(())
    }
}
