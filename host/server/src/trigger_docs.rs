//! What `generate trigger-docs` writes: for each page of the user's guide to triggers the part that the kinds say themselves, from the schemas of
//! their settings and events.

use std::{collections::BTreeMap, fmt::Write as _};

use sandmill_model::trigger::{KindInfo, Kinds, TriggerOptions};
use serde_json::{Map, Value};

/// The page about all kinds.
const INDEX: &str = "docs/triggers.md";

/// Parts by the page that they belong to, as JSON.
pub(crate) fn pages(kinds: &Kinds) -> String {
    let mut pages = BTreeMap::from([(INDEX.to_owned(), index(kinds))]);
    for kind in kinds.all() {
        pages.insert(format!("docs/triggers/{}.md", kind.info.name), page(&kind.info));
    }
    format!("{:#}\n", serde_json::to_value(pages).unwrap_or_default())
}

fn index(kinds: &Kinds) -> String {
    let mut text = String::from("## Kinds\n\n| kind | URLs | what it is |\n| --- | --- | --- |\n");
    for kind in kinds.all() {
        let KindInfo { name, summary, prefix, .. } = &*kind.info;
        let urls = prefix.map_or_else(|| "–".to_owned(), |prefix| format!("`/{prefix}/`"));
        let _ = writeln!(text, "| [{name}](triggers/{name}.md) | {urls} | {} |", cell(summary));
    }
    text + "\n" + &section("## Options of all kinds", &TriggerOptions::schema())
}

fn page(info: &KindInfo) -> String {
    let mut text = String::new();
    if !info.resource_types.is_empty() {
        let names: Vec<String> = info.resource_types.iter().map(|kind| format!("`{}`", kind.name)).collect();
        let _ = writeln!(text, "Resource types: {}.\n", names.join(", "));
    }
    text + &section("### Settings", &info.config) + "\n" + &section("### Event", &info.event)
}

/// A schema under its heading, and behind it all that it refers to.
fn section(title: &str, schema: &Value) -> String {
    let mut text = format!("{title}\n\n");
    let level = title.split(' ').next().unwrap_or_default();
    let defs = schema.get("$defs").and_then(Value::as_object);
    text.push_str(&body(schema));
    let (mut named, mut at) = (references(schema), 0);
    while let Some(name) = named.get(at).cloned() {
        at += 1;
        let Some(own) = defs.and_then(|defs| defs.get(&name)) else { continue };
        let _ = write!(text, "\n{level}# {name}\n\n{}", described(own));
        text.push_str(&body(own));
        for other in references(own) {
            if !named.contains(&other) {
                named.push(other);
            }
        }
    }
    text
}

fn described(schema: &Value) -> String {
    schema.get("description").and_then(Value::as_str).map(|text| format!("{}\n\n", one_line(text))).unwrap_or_default()
}

/// Fields, or what it may be instead.
fn body(schema: &Value) -> String {
    let mut text = schema.get("properties").and_then(Value::as_object).map(|fields| table(schema, fields)).unwrap_or_default();
    let choices = ["oneOf", "anyOf"].iter().find_map(|key| schema.get(*key)?.as_array());
    for choice in choices.into_iter().flatten() {
        let about = choice.get("description").and_then(Value::as_str).map(|about| format!(": {}", one_line(about))).unwrap_or_default();
        match choice.get("properties").and_then(Value::as_object) {
            Some(fields) => {
                let _ = write!(text, "\n{}{about}\n\n{}", tag(fields), table(choice, fields));
            }
            None => {
                let _ = writeln!(text, "- {}{about}", kind_of(choice));
            }
        }
    }
    if text.is_empty() {
        let what = kind_of(schema);
        text = if what == "object" { "None.\n".to_owned() } else { format!("{what}\n") };
    }
    text
}

/// By what a choice is told from the others.
fn tag(fields: &Map<String, Value>) -> String {
    let tag = fields.iter().find_map(|(name, field)| Some(format!("With `{name}` = `{}`", field.get("const")?)));
    tag.unwrap_or_else(|| format!("With `{}`", fields.keys().map(String::as_str).collect::<Vec<_>>().join("`, `")))
}

fn table(schema: &Value, fields: &Map<String, Value>) -> String {
    let required = schema.get("required").and_then(Value::as_array);
    let mut text = String::from("| field | type | |\n| --- | --- | --- |\n");
    for (name, field) in fields {
        let is_required = required.is_some_and(|names| names.iter().any(|required| required == name));
        let about = field.get("description").and_then(Value::as_str).map(cell).unwrap_or_default();
        let default = field.get("default").filter(|default| !default.is_null() && !default.is_object() && !default.is_array());
        let default = default.map(|default| format!(" Default: `{default}`.")).unwrap_or_default();
        let mark = if is_required { " (required)" } else { "" };
        let _ = writeln!(text, "| `{name}`{mark} | {} | {about}{default} |", cell(&kind_of(field)));
    }
    text
}

/// Names of definitions that it refers to, in the order in which they occur.
fn references(schema: &Value) -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member.as_str().and_then(|at| at.strip_prefix("#/$defs/")) {
                        Some(to) if name == "$ref" && !found.iter().any(|known| known == to) => found.push(to.to_owned()),
                        // What is defined is shown where it is referred to.
                        _ if name == "$defs" => {}
                        _ => collect(member, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    collect(schema, &mut found);
    found
}

fn kind_of(schema: &Value) -> String {
    if let Some(to) = schema.get("$ref").and_then(Value::as_str) {
        let name = to.rsplit('/').next().unwrap_or(to);
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(only) = schema.get("const") {
        return format!("`{only}`");
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<String> = values.iter().filter(|value| !value.is_null()).map(|value| format!("`{value}`")).collect();
        return values.join(", ");
    }
    if let Some(choices) = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(*key)?.as_array()) {
        let mut kinds: Vec<String> = choices.iter().map(kind_of).filter(|kind| kind != "null").collect();
        kinds.dedup();
        return kinds.join(" or ");
    }
    let plain = |name: &str| match name {
        "array" => format!("list of {}", schema.get("items").map_or_else(|| "anything".to_owned(), kind_of)),
        "object" => match schema.get("additionalProperties").filter(|more| more.is_object()) {
            Some(more) => format!("object of {}", kind_of(more)),
            None => "object".to_owned(),
        },
        name => name.to_owned(),
    };
    match schema.get("type") {
        Some(Value::String(name)) => plain(name),
        Some(Value::Array(names)) => {
            let names: Vec<String> = names.iter().filter_map(Value::as_str).filter(|name| *name != "null").map(plain).collect();
            names.join(" or ")
        }
        _ => "anything".to_owned(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// In a table.
fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_becomes_tables() {
        let schema = json!({
            "type": "object",
            "required": ["url"],
            "properties": {
                "url": {"type": "string", "description": "Where\n it is | or was."},
                "auth": {"anyOf": [{"$ref": "#/$defs/Auth"}, {"type": "null"}]},
                "names": {"type": ["array", "null"], "items": {"type": "string"}},
                "count": {"type": "integer", "default": 3},
            },
            "$defs": {"Auth": {
                "description": "Who may.",
                "oneOf": [
                    {"type": "object", "description": "Nobody asks.", "properties": {"kind": {"type": "string", "const": "none"}}},
                    {"type": "string", "enum": ["a", "b"]},
                ],
            }},
        });
        let text = section("## Settings", &schema);
        for line in [
            "## Settings\n",
            "| `url` (required) | string | Where it is \\| or was. |\n",
            "| `auth` | [Auth](#auth) |  |\n",
            "| `names` | list of string |  |\n",
            "| `count` | integer |  Default: `3`. |\n",
            "### Auth\n\nWho may.\n",
            "With `kind` = `\"none\"`: Nobody asks.\n",
            "- `\"a\"`, `\"b\"`\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert_eq!(section("## Event", &json!({"type": "object"})), "## Event\n\nNone.\n");
    }

    #[test]
    fn every_kind_has_its_page() {
        let kinds = sandmill_triggers::kinds();
        let pages: BTreeMap<String, String> = serde_json::from_str(&pages(&kinds)).unwrap();
        assert_eq!(pages.len(), kinds.all().len() + 1);
        for kind in kinds.all() {
            assert!(pages[INDEX].contains(&format!("(triggers/{}.md)", kind.info.name)), "{}", kind.info.name);
        }
        assert!(pages[INDEX].contains("`payload_bytes_max`"));
    }
}
