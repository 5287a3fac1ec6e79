//! What an event is to its trigger: its keys, whether it fits the filter, and whether it can be a run at all. Pure.

use bytes::Bytes;
use sandmill_model::{
    Event, JsonText, Limits, Timestamp, TriggerEventId,
    trigger::{NewEvent, Overlap, short_key},
};
use sandmill_store::triggers::{KeptAs, KeptEvent, Trigger};
use serde_json::Value;

use super::event_of;

/// Bytes of what a kind says of an event beside its payload.
pub(super) const METADATA_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of the payload of an event that is kept without a run; of a larger one only its size is kept.
pub(super) const KEPT_PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// An event that was looked at.
pub(super) enum Looked {
    Fits(Box<Fitting>),
    /// It does not fit the trigger's filter.
    Filtered,
    /// It can never be a run.
    Invalid(Box<Event>, Fault),
}

/// Why an event can never be a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) is_too_large: bool,
    pub(super) why: String,
}

pub(super) struct Fitting {
    /// With the keys that it has by the trigger's options.
    pub(super) event: Event,
    /// Its key is what a caller chose for it.
    pub(super) is_callers_key: bool,
    pub(super) overlap: Overlap,
    /// Nothing executes, for this reason.
    pub(super) skip: Option<String>,
}

/// Bytes of a payload that a trigger takes.
pub(super) fn payload_bytes_max(trigger: &Trigger) -> u64 {
    let ceiling = Limits::CEILING.arguments_bytes;
    trigger.options.payload_bytes_max.map_or(ceiling, |own| own.min(ceiling))
}

/// What becomes of an event whose payload may have `bytes_max` bytes. Of a request they were counted as its body was read: what the kind makes of
/// that may be longer.
pub(super) fn look(trigger: &Trigger, mut event: NewEvent, bytes_max: u64) -> Looked {
    let (overlap, skip, mut is_callers_key) = (event.overlap, event.skip.take(), event.is_callers_key);
    let mut event = event_of(trigger, event);
    // A key that no database can hold must not hold up all that comes after it.
    event.dedup_key = event.dedup_key.map(short_key);
    event.ordering_key = event.ordering_key.map(short_key);
    if event.metadata.as_str().len() > METADATA_BYTES_MAX {
        event.metadata = JsonText::empty_object();
        return invalid(event, true, format!("what is said of it beside its payload has more than {METADATA_BYTES_MAX} bytes"));
    }
    let bytes = event.payload.len() as u64;
    if bytes > bytes_max {
        return invalid(event, true, format!("its payload has {bytes} bytes; this trigger takes {bytes_max}"));
    }
    let options = &trigger.options;
    if skip.is_none() && options.reads_events() {
        let value = match event.told().read::<Value>() {
            Ok(value) => value,
            Err(error) => return invalid(event, false, format!("its payload cannot be read, as the trigger's options ask: {error}")),
        };
        if options.filter.as_ref().is_some_and(|filter| !filter.fits(&value)) {
            return Looked::Filtered;
        }
        if options.ordering_key.is_some() {
            event.ordering_key = options.ordering_key_of(&value);
        }
        if options.dedup.as_ref().is_some_and(|dedup| dedup.key.is_some()) {
            event.dedup_key = options.dedup_key(&value);
            is_callers_key = false;
        }
    }
    Looked::Fits(Box::new(Fitting { event, is_callers_key, overlap, skip }))
}

fn invalid(event: Event, is_too_large: bool, why: String) -> Looked {
    Looked::Invalid(Box::new(event), Fault { is_too_large, why })
}

/// An event as it is kept without a run.
pub(super) fn kept(mut event: Event, kept_as: KeptAs, now: Timestamp) -> Box<KeptEvent> {
    let payload_bytes = event.payload.len() as u64;
    let has_payload = event.payload.len() <= KEPT_PAYLOAD_BYTES_MAX;
    if !has_payload {
        event.payload = Bytes::new();
    }
    Box::new(KeptEvent { id: TriggerEventId::new(now), event, payload_bytes, has_payload, kept_as })
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use sandmill_model::{
        TriggerId, WorkspaceId,
        trigger::{Mode, TriggerOptions},
    };
    use serde_json::json;

    use super::*;

    pub(in super::super) fn trigger(options: Value) -> Trigger {
        let now = Timestamp::from_micros(1);
        Trigger {
            workspace: WorkspaceId::new(now),
            path: "f/demo/trigger".parse().unwrap(),
            id: TriggerId::new(now),
            kind: "played".into(),
            target: "f/demo/hello".parse().unwrap(),
            config: JsonText::empty_object(),
            options: Arc::new(serde_json::from_value::<TriggerOptions>(options).unwrap()),
            mode: Mode::On,
            description: String::new(),
            answered_by: "u/test".into(),
            revision: 1,
            created_at: now,
            updated_at: now,
            updated_by: "u/test".into(),
        }
    }

    fn event(payload: &'static str) -> NewEvent {
        NewEvent::new(JsonText::trusted("{\"subject\":\"a\"}"), Bytes::from_static(payload.as_bytes()))
    }

    fn fitting(options: Value, event: NewEvent) -> Event {
        let trigger = trigger(options);
        match look(&trigger, event, payload_bytes_max(&trigger)) {
            Looked::Fits(fitting) => fitting.event,
            Looked::Filtered => panic!("it is filtered"),
            Looked::Invalid(_, fault) => panic!("{fault:?}"),
        }
    }

    fn fault(options: Value, event: NewEvent) -> Fault {
        let trigger = trigger(options);
        match look(&trigger, event, payload_bytes_max(&trigger)) {
            Looked::Invalid(_, fault) => fault,
            Looked::Fits(_) | Looked::Filtered => panic!("it is not invalid"),
        }
    }

    #[test]
    fn keys_are_the_triggers_else_the_sources() {
        let own = || NewEvent { dedup_key: Some("d".into()), ordering_key: Some("o".into()), ..event("{\"id\":7}") };
        let keys = |options: Value| {
            let event = fitting(options, own());
            (event.dedup_key, event.ordering_key)
        };
        assert_eq!(keys(json!({})), (Some("d".into()), Some("o".into())));
        assert_eq!(keys(json!({"dedup": {"key": "/body/id"}, "ordering_key": "/subject"})), (Some("7".into()), Some("\"a\"".into())));
        assert_eq!(keys(json!({"dedup": {"key": "/body/none"}, "ordering_key": "/none"})), (None, None));
        let hostile = NewEvent { dedup_key: Some("a\0b".into()), ..event("") };
        assert!(!fitting(json!({}), hostile).dedup_key.unwrap().contains('\0'));
    }

    #[test]
    fn a_filter_reads_what_a_preprocessor_gets() {
        let options = json!({"filter": {"all": [{"pointer": "/body/a", "operator": "equals", "value": 1}]}});
        assert!(matches!(look(&trigger(options.clone()), event("{\"a\":2}"), u64::MAX), Looked::Filtered));
        fitting(options.clone(), event("{\"a\":1}"));
        // Valid, and no parser of ours can hold it: it is no filtered event, of which nobody would hear.
        let unreadable = fault(options.clone(), event("{\"a\":1e999}"));
        assert!(!unreadable.is_too_large && unreadable.why.contains("cannot be read"), "{unreadable:?}");
        // A record of what did not happen has nothing to be read.
        let skipped = NewEvent { skip: Some("nothing new".into()), ..event("") };
        assert!(matches!(look(&trigger(options), skipped, u64::MAX), Looked::Fits(fitting) if fitting.skip.is_some()));
    }

    #[test]
    fn what_is_too_large_is_invalid_and_kept_without_its_payload() {
        let small = json!({"payload_bytes_max": 3});
        assert!(fault(small.clone(), event("1234")).is_too_large);
        fitting(small, event("123"));
        let metadata = JsonText::trusted(format!("{{\"a\":\"{}\"}}", "x".repeat(METADATA_BYTES_MAX)));
        assert!(fault(json!({}), NewEvent::new(metadata, Bytes::new())).is_too_large);
        let now = Timestamp::from_micros(1);
        let large = Bytes::from(vec![b'x'; KEPT_PAYLOAD_BYTES_MAX + 1]);
        let event = event_of(&trigger(json!({})), NewEvent::new(JsonText::empty_object(), large));
        let dead = kept(event, KeptAs::Dead("too large".into()), now);
        assert!(!dead.has_payload && dead.event.payload.is_empty() && dead.payload_bytes == KEPT_PAYLOAD_BYTES_MAX as u64 + 1);
    }
}
