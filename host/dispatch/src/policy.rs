//! On which terms a run is dispatched: what its script's manifest, its trigger and its caller say, taken together.

use std::{sync::Arc, time::Duration};

use sandmill_model::{
    CauseKind, Digest, Event, Input, JsonText, Labels, Policy, ScriptPath, Timestamp, TokenId,
    auth::Principal,
    code::{Code, Refusal},
    label,
    policy::{Key, PRIORITY_MAX, check_tag},
    run::Dedup,
    version::{Selector, Target},
};
use sandmill_store::triggers::Trigger;
use serde_json::Value;

use crate::{DEDUP_WINDOW, Inner, StartTerms};

impl Inner {
    pub(crate) fn labels(&self, target: &Target, input: &Input) -> Arc<Labels> {
        if target.labels.is_empty() {
            return Arc::clone(&self.no_labels);
        }
        Arc::new(label::of(&target.labels, &keyed_on(target, input)))
    }

    /// `due_at` is when the run's time begins.
    pub(crate) fn policy(&self, target: &Target, input: &Input, terms: &StartTerms, due_at: Timestamp) -> Result<Arc<Policy>, Refusal> {
        let ordering_key = match input {
            Input::Event(event) => event.ordering_key.as_deref(),
            Input::Arguments(_) => None,
        };
        let inherited = terms.child_of.as_ref().map_or(0, |child| child.priority);
        let trigger = terms.trigger.as_deref().filter(|trigger| trigger.options.amends());
        let says_nothing = trigger.is_none() && terms.priority.is_none() && terms.tag.is_none();
        let is_plain = target.dispatch.is_empty() && ordering_key.is_none() && says_nothing;
        if is_plain && inherited == 0 {
            return Ok(Arc::clone(&self.plain_policy));
        }
        let keyed_on = if target.dispatch.needs_arguments() { keyed_on(target, input) } else { Value::Null };
        let mut policy = target.dispatch.policy(target.path.as_str(), &keyed_on, due_at);
        if let (Input::Event(event), Some(key)) = (input, ordering_key) {
            policy.keys.insert(0, Key::ordering(target.path.as_str(), &source(event), &Value::from(key)));
        }
        if target.dispatch.priority.is_none() {
            policy.priority = inherited;
        }
        if let Some(trigger) = trigger {
            let event = match input {
                Input::Event(event) if trigger.options.rate.iter().any(|rate| rate.key.is_some()) => read(&event.told()),
                _ => Value::Null,
            };
            trigger.options.amend(&mut policy, &name(trigger), &event);
        }
        if let Some(priority) = terms.priority {
            if priority.abs() > PRIORITY_MAX {
                return Err(Refusal::new(Code::BadRequest, format!("`priority` is from -{PRIORITY_MAX} to {PRIORITY_MAX}")));
            }
            policy.priority = priority;
        }
        if let Some(tag) = &terms.tag {
            check_tag(tag).map_err(|fault| Refusal::new(Code::BadRequest, fault))?;
            policy.tag = Arc::clone(tag);
        }
        Ok(Arc::new(policy))
    }
}

/// What the pointers of keys and labels point into: the arguments, or the event of a script that makes its arguments itself.
fn keyed_on(target: &Target, input: &Input) -> Value {
    match input {
        Input::Event(event) if target.takes_events => read(&event.told()),
        input => read(&input.arguments()),
    }
}

fn read(text: &JsonText) -> Value {
    text.read().unwrap_or(Value::Null)
}

/// A trigger's name in keys.
fn name(trigger: &Trigger) -> String {
    format!("{} {}", trigger.kind, trigger.path)
}

fn source(event: &Event) -> String {
    format!("{} {}", event.trigger.kind, event.trigger.path.as_deref().unwrap_or_default())
}

/// By what a repetition of this start is known. A caller's key is the caller's own and is for one request, with all that it says; a trigger's
/// is for one event, however it looks.
pub(crate) fn dedup(path: &ScriptPath, selector: Selector, input: &Input, terms: &StartTerms, principal: &Principal) -> Option<Dedup> {
    let rerun_of = terms.cause.filter(|cause| cause.kind == CauseKind::Rerun).map(|cause| cause.run);
    let of_caller = |key: &str, asked: &[u8]| Dedup {
        scope: match rerun_of {
            None => format!("caller {path} {}", principal.identity).into(),
            Some(run) => format!("rerun {run} {}", principal.identity).into(),
        },
        key: key.to_owned(),
        fingerprint: Some(asked_for(asked, selector, terms)),
        window: DEDUP_WINDOW,
    };
    if let Some(run) = terms.replay_of {
        return Some(Dedup { scope: "replay".into(), key: run.to_string(), fingerprint: None, window: DEDUP_WINDOW });
    }
    match (input, &terms.idempotency_key) {
        (Input::Arguments(arguments), Some(key)) => Some(match &terms.child_of {
            None => of_caller(key, arguments.as_str().as_bytes()),
            Some(child) => Dedup {
                scope: format!("child {}", child.parent).into(),
                key: key.to_owned(),
                fingerprint: Some(Digest::of_parts(&[path.as_str().as_bytes(), arguments.as_str().as_bytes()])),
                window: DEDUP_WINDOW,
            },
        }),
        (Input::Event(event), _) => {
            let key = event.dedup_key.as_deref()?;
            let own = terms.trigger.as_ref().and_then(|trigger| trigger.options.dedup.as_ref());
            let window = own.and_then(|dedup| dedup.window_ms).map_or(DEDUP_WINDOW, Duration::from_millis);
            if window.is_zero() {
                return None;
            }
            let of_trigger = |scope: String| Dedup { scope: scope.into(), key: key.to_owned(), fingerprint: None, window };
            let is_callers = principal.token != TokenId::NONE;
            Some(match &event.trigger.path {
                // A trigger that every script has: its events are requests.
                None => of_caller(key, &event.payload),
                // So are those of callers whom the host knows: a key is its caller's, and none comes by the result of another's run.
                Some(_) if is_callers && own.is_none_or(|dedup| dedup.key.is_none()) => Dedup { window, ..of_caller(key, &event.payload) },
                Some(_) if is_callers => of_trigger(format!("trigger {} {}", source(event), principal.identity)),
                Some(_) => {
                    let asked = terms.is_callers_key.then(|| asked_for(&event.payload, selector, terms));
                    Dedup { fingerprint: asked, ..of_trigger(format!("trigger {}", source(event))) }
                }
            })
        }
        (Input::Arguments(_), None) => None,
    }
}

/// What tells one request from another under the same key.
fn asked_for(input: &[u8], selector: Selector, terms: &StartTerms) -> Digest {
    let StartTerms {
        due,
        priority,
        tag,
        run_as,
        idempotency_key: _,
        cause: _,
        replay_of: _,
        child_of: _,
        asked_by: _,
        trigger: _,
        is_callers_key: _,
        stages_state: _,
    } = terms;
    if selector == Selector::Newest && due.is_none() && priority.is_none() && tag.is_none() && run_as.is_none() {
        return Digest::of(input);
    }
    let terms = format!("{selector:?} {due:?} {priority:?} {tag:?}");
    match run_as {
        None => Digest::of_parts(&[input, terms.as_bytes()]),
        Some(run_as) => Digest::of_parts(&[input, terms.as_bytes(), run_as.to_string().as_bytes()]),
    }
}
