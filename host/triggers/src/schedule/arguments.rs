//! Arguments that tell a script for which instant it runs.

use serde_json::{Map, Value};

use super::config::Event;

/// `arguments` with what whole texts such as `$scheduled_for` stand for, at any depth.
pub(super) fn filled(arguments: &Map<String, Value>, facts: &Event) -> Map<String, Value> {
    arguments.iter().map(|(name, value)| (name.clone(), value_of(value, facts))).collect()
}

fn value_of(value: &Value, facts: &Event) -> Value {
    match value {
        Value::String(text) => meant(text, facts).unwrap_or_else(|| value.clone()),
        Value::Array(list) => list.iter().map(|element| value_of(element, facts)).collect(),
        Value::Object(object) => Value::Object(filled(object, facts)),
        _ => value.clone(),
    }
}

fn meant(text: &str, facts: &Event) -> Option<Value> {
    Some(match text {
        "$scheduled_for" => facts.scheduled_for.as_str().into(),
        "$local_time" => facts.local_time.as_str().into(),
        "$local_date" => facts.local_time.split('T').next().unwrap_or_default().into(),
        "$previous" => facts.previous.as_deref().into(),
        "$next" => facts.next.as_deref().into(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whole_texts_are_filled() {
        let facts = Event {
            scheduled_for: "2026-03-29T01:00:00.000000Z".to_owned(),
            local_time: "2026-03-29T03:00:00+02:00".to_owned(),
            time_zone: "Europe/Zurich",
            previous: None,
            next: Some("later".to_owned()),
            skipped_since: None,
        };
        let Value::Object(arguments) = json!({
            "at": "$scheduled_for", "day": {"of": ["$local_date", "$local_time"]}, "last": "$previous", "then": "$next",
            "text": "at $next", "unknown": "$other", "n": 1,
        }) else {
            unreachable!()
        };
        let expected = json!({
            "at": "2026-03-29T01:00:00.000000Z", "day": {"of": ["2026-03-29", "2026-03-29T03:00:00+02:00"]}, "last": null, "then": "later",
            "text": "at $next", "unknown": "$other", "n": 1,
        });
        assert_eq!(Value::Object(filled(&arguments, &facts)), expected);
    }
}
