//! A value in two parts: what may be shown, and the secret leaves by their pointers.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// A value, taken apart.
#[derive(Clone, PartialEq)]
pub struct Parts {
    /// The value without its secrets.
    pub fields: Value,
    /// Secret leaves by pointer.
    pub secrets: BTreeMap<String, Value>,
}

/// Takes the leaves at `pointers` out of `value`; null is as if it were not there.
#[must_use]
pub fn split(mut value: Value, pointers: &[String]) -> Parts {
    let mut secrets = BTreeMap::new();
    for pointer in pointers {
        if let Some(leaf) = take(&mut value, pointer).filter(|leaf| !leaf.is_null()) {
            secrets.insert(pointer.clone(), leaf);
        }
    }
    Parts { fields: value, secrets }
}

/// The whole value. A secret whose object is not there is left out.
#[must_use]
pub fn join(parts: Parts) -> Value {
    let Parts { mut fields, secrets } = parts;
    for (pointer, leaf) in secrets {
        if let Some((object, name)) = object_of(&mut fields, &pointer) {
            object.insert(name, leaf);
        }
    }
    fields
}

/// What `value` becomes where secrets may be left out: one that is absent stays as it was, if the object around it is there; null takes it away.
#[must_use]
pub fn keep(mut value: Value, pointers: &[String], before: &BTreeMap<String, Value>) -> Parts {
    for pointer in pointers {
        if let (Some((object, name)), Some(leaf)) = (object_of(&mut value, pointer), before.get(pointer))
            && !object.contains_key(&name)
        {
            object.insert(name, leaf.clone());
        }
    }
    split(value, pointers)
}

fn take(value: &mut Value, pointer: &str) -> Option<Value> {
    let (object, name) = object_of(value, pointer)?;
    object.remove(&name)
}

/// The object that a pointer's leaf belongs to, and the leaf's name.
fn object_of<'a>(value: &'a mut Value, pointer: &str) -> Option<(&'a mut Map<String, Value>, String)> {
    let (parent, name) = pointer.rsplit_once('/')?;
    let name = name.replace("~1", "/").replace("~0", "~");
    let mut at = value;
    for segment in parent.split('/').skip(1) {
        at = at.as_object_mut()?.get_mut(&segment.replace("~1", "/").replace("~0", "~"))?;
    }
    at.as_object_mut().map(|object| (object, name))
}
