//! Fields of forms: names with one value, or several.

use std::collections::HashMap;

use super::push_json_string;

/// In the order in which names come first. Each value is JSON.
#[derive(Default)]
pub(crate) struct Fields {
    all: Vec<(String, Vec<Vec<u8>>)>,
    places: HashMap<String, usize>,
    count: usize,
}

impl Fields {
    pub(crate) fn push(&mut self, name: String, value: Vec<u8>) {
        self.count += 1;
        match self.places.get(&name).and_then(|place| self.all.get_mut(*place)) {
            Some((_, values)) => values.push(value),
            None => {
                self.places.insert(name.clone(), self.all.len());
                self.all.push((name, vec![value]));
            }
        }
    }

    pub(crate) fn push_text(&mut self, name: String, value: &str) {
        let mut json = Vec::with_capacity(value.len() + 2);
        push_json_string(&mut json, value);
        self.push(name, json);
    }

    /// Values, of all names.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// A JSON object; a name that came several times has an array.
    pub(crate) fn into_json(self) -> Vec<u8> {
        let mut out = vec![b'{'];
        for (at, (name, values)) in self.all.into_iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            push_json_string(&mut out, &name);
            out.push(b':');
            let several = values.len() > 1;
            if several {
                out.push(b'[');
            }
            for (at, value) in values.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(&value);
            }
            if several {
                out.push(b']');
            }
        }
        out.push(b'}');
        out
    }
}
