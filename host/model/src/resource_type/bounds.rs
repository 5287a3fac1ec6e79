//! What a schema may cost: it is compiled and checked in bounded time and memory, whatever its author meant by it.

use std::collections::HashMap;

use serde_json::Value;

/// Bytes that one pattern may compile to.
pub(super) const PATTERN_BYTES_MAX: usize = 256 * 1024;
/// Patterns in a schema.
const PATTERNS_MAX: usize = 64;
/// Levels of arrays and objects in each other.
const DEPTH_MAX: usize = 32;
/// Values in a schema, each counted as often as references lead to it.
const EXPANDED_MAX: u64 = 5_000;
/// Where references may lead.
const DEFINITIONS: [&str; 2] = ["#/$defs/", "#/definitions/"];
/// Would change what a reference means.
const REFUSED: [&str; 7] = ["$id", "id", "$anchor", "$dynamicAnchor", "$dynamicRef", "$recursiveAnchor", "$recursiveRef"];

pub(super) fn check(schema: &Value) -> Result<(), String> {
    let mut patterns = 0;
    walk(schema, 1, &mut patterns)?;
    let mut counts = HashMap::new();
    if expanded(schema, schema, &mut counts)? > EXPANDED_MAX {
        return Err(format!("the schema is too large: with what references lead to it has more than {EXPANDED_MAX} values"));
    }
    Ok(())
}

fn walk(value: &Value, depth: usize, patterns: &mut usize) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err(format!("the schema is nested more than {DEPTH_MAX} levels deep"));
    }
    match value {
        Value::Array(elements) => elements.iter().try_for_each(|element| walk(element, depth + 1, patterns)),
        Value::Object(members) => {
            for (name, member) in members {
                match name.as_str() {
                    "pattern" if member.is_string() => *patterns += 1,
                    "patternProperties" => *patterns += member.as_object().map_or(0, serde_json::Map::len),
                    // A property may have such a name, and then it is a schema.
                    name if REFUSED.contains(&name) && member.is_string() => {
                        return Err(format!("`{name}` cannot be used in a resource type"));
                    }
                    _ => {}
                }
                walk(member, depth + 1, patterns)?;
            }
            if *patterns > PATTERNS_MAX {
                return Err(format!("the schema has more than {PATTERNS_MAX} patterns"));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Values below `value`, those behind references among them. `counts` has what was counted, and none for what is being counted.
fn expanded<'a>(root: &'a Value, value: &'a Value, counts: &mut HashMap<&'a str, Option<u64>>) -> Result<u64, String> {
    let mut count: u64 = 1;
    match value {
        Value::Array(elements) => {
            for element in elements {
                count = count.saturating_add(expanded(root, element, counts)?);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                count = count.saturating_add(match member {
                    Value::String(target) if name == "$ref" => referenced(root, target, counts)?,
                    member => expanded(root, member, counts)?,
                });
            }
        }
        _ => {}
    }
    Ok(count)
}

fn referenced<'a>(root: &'a Value, target: &'a str, counts: &mut HashMap<&'a str, Option<u64>>) -> Result<u64, String> {
    // Not to properties, which may be secret: the mark would be passed on to where nobody looks for it.
    if !DEFINITIONS.iter().any(|definitions| target.starts_with(definitions)) {
        return Err(format!("`$ref` leads to {target:?}: it can only lead to `#/$defs/…` of the same schema"));
    }
    match counts.get(target) {
        Some(Some(count)) => return Ok(*count),
        Some(None) => return Err(format!("`$ref` to {target:?} comes back to itself")),
        None => {}
    }
    let found = root.pointer(&target[1..]).ok_or_else(|| format!("`$ref` leads to {target:?}, where nothing is"))?;
    counts.insert(target, None);
    let count = expanded(root, found, counts)?;
    counts.insert(target, Some(count));
    Ok(count)
}
