//! What is done to many things of a trigger at once: to those that are named, or to all.

use futures_util::{StreamExt, stream};
use sandmill_model::{Code, code::Refusal};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    app::App,
    audit::Facts,
    auth::{BELIEVED, Caller},
    problem::Problem,
};

/// Things that one request names.
pub(super) const NAMED_MAX: usize = 200;
/// Things that one request is about where it is about all.
pub(super) const ALL_MAX: usize = 1_000;
/// Things that are looked at together.
pub(super) const PAGE: u32 = 200;
/// Things that something is done to at once: they share commits.
const AT_ONCE: usize = 32;
/// Problems that an answer tells of.
const PROBLEMS_MAX: usize = 10;

/// Which things are meant.
pub(super) enum Meant<Id> {
    These(Vec<Id>),
    All,
}

impl<Id: std::str::FromStr> Meant<Id> {
    /// Of `ids` and `all` one must be there.
    pub(super) fn of(ids: Option<Vec<String>>, all: bool) -> Result<Self, Problem> {
        match ids {
            None if all => Ok(Self::All),
            Some(ids) if !all => {
                if ids.len() > NAMED_MAX {
                    return Err(Problem::new(Code::BadRequest, format!("`ids` has at most {NAMED_MAX} entries")));
                }
                let read = |id: String| id.parse::<Id>().map_err(|_| Problem::new(Code::BadRequest, "`ids` has an entry that is no id"));
                ids.into_iter().map(read).collect::<Result<_, _>>().map(Self::These)
            }
            _ => Err(Problem::new(Code::BadRequest, "say `ids`, or `\"all\": true`")),
        }
    }
}

/// What became of some of what is meant.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct ManyReceipt {
    done: u64,
    /// They are not there any more, or something stood in the way; `problems` tells of some.
    passed_over: u64,
    /// What stood in the way, of the first few.
    problems: Vec<ManyProblem>,
    /// Send it as `cursor` to go on; null: these were all.
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ManyProblem {
    id: String,
    code: &'static str,
    detail: String,
}

impl ManyReceipt {
    pub(super) fn going_on_at(self, next: Option<String>) -> Self {
        Self { next, ..self }
    }

    /// What the audit log tells of it.
    pub(super) fn facts(&self, action: &str) -> Facts {
        let after = json!({"action": action, "done": self.done, "passed_over": self.passed_over});
        Facts { after, ..Facts::default() }
    }

    fn pass_over(&mut self, id: String, refusal: Refusal) {
        self.passed_over += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(ManyProblem { id, code: refusal.code.name(), detail: refusal.detail });
        }
    }
}

/// Does something to each, many at once, and counts what came of it. Those at which the caller is no longer who they were are passed over.
pub(super) async fn each<Id, F, Doing>(app: &App, caller: &Caller, ids: Vec<Id>, act: F) -> ManyReceipt
where
    Id: Copy + ToString + Send,
    F: Fn(Id) -> Doing,
    Doing: Future<Output = Result<(), Refusal>> + Send,
{
    let mut done = stream::iter(ids)
        .map(|id| {
            let doing = act(id);
            async move {
                if !app.is_as_before(caller, BELIEVED).await {
                    return (id, Err(Refusal::new(Code::Unauthorized, "whoever asked for it is no longer let in")));
                }
                (id, doing.await)
            }
        })
        .buffer_unordered(AT_ONCE);
    let mut receipt = ManyReceipt::default();
    while let Some((id, outcome)) = done.next().await {
        match outcome {
            Ok(()) => receipt.done += 1,
            Err(refusal) => receipt.pass_over(id.to_string(), refusal),
        }
    }
    receipt
}

#[cfg(test)]
mod tests {
    use sandmill_model::RunId;

    use super::*;

    #[test]
    fn some_are_named_or_all_are_meant() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057".to_owned();
        let of = |ids: Option<Vec<String>>, all| Meant::<RunId>::of(ids, all);
        assert!(matches!(of(None, true), Ok(Meant::All)));
        assert!(matches!(of(Some(vec![id.clone()]), false), Ok(Meant::These(ids)) if ids.len() == 1));
        assert!(matches!(of(Some(Vec::new()), false), Ok(Meant::These(ids)) if ids.is_empty()), "nothing is named, and nothing done");
        for (ids, all) in [
            (None, false),
            (Some(vec![id.clone()]), true),
            (Some(vec!["x".to_owned()]), false),
            (Some(vec![id.clone(); NAMED_MAX + 1]), false),
        ] {
            assert!(of(ids.clone(), all).is_err(), "{ids:?} {all}");
        }
    }
}
