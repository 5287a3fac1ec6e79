//! JSON whose objects keep the order in which they were written: properties of a form are in the author's order.

use serde::{Serialize, Serializer, ser::SerializeMap as _};

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    String(String),
    Array(Vec<Json>),
    Object(Map),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Map(Vec<(String, Json)>);

impl Map {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn with(mut self, key: &str, value: impl Into<Json>) -> Self {
        self.set(key, value);
        self
    }

    pub(super) fn set(&mut self, key: &str, value: impl Into<Json>) {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// In front of the others.
    fn set_first(&mut self, key: &str, value: impl Into<Json>) {
        self.0.retain(|(known, _)| known != key);
        self.0.insert(0, (key.to_owned(), value.into()));
    }

    pub(super) fn get(&self, key: &str) -> Option<&Json> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(String, Json)> {
        self.0.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, Json)> for Map {
    fn from_iter<T: IntoIterator<Item = (String, Json)>>(iter: T) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl Serialize for Map {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl Json {
    /// The schema that every value satisfies.
    pub(super) fn any() -> Self {
        Self::Object(Map::new())
    }

    pub(super) fn of_type(name: &str) -> Self {
        Self::Object(Map::new().with("type", name))
    }

    /// Of a number as JavaScript would print it; none for what JSON cannot say.
    pub(super) fn number(value: f64) -> Option<Self> {
        const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
        if value.fract() == 0.0 && value.abs() <= EXACT_MAX {
            #[expect(clippy::cast_possible_truncation, reason = "checked to be a whole number in range")]
            let whole = value as i64;
            return Some(Self::Number(whole.into()));
        }
        serde_json::Number::from_f64(value).map(Self::Number)
    }

    pub(super) fn as_object(&self) -> Option<&Map> {
        if let Self::Object(map) = self { Some(map) } else { None }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.as_object()?.get(key)
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    pub(super) fn is_any(&self) -> bool {
        self.as_object().is_some_and(Map::is_empty)
    }

    /// For schemas: sets a keyword.
    pub(super) fn with(self, key: &str, value: impl Into<Self>) -> Self {
        match self {
            Self::Object(map) => Self::Object(map.with(key, value)),
            other => other,
        }
    }

    /// For schemas: the outermost description wins.
    pub(super) fn described(self, text: &str) -> Self {
        match self {
            Self::Object(mut map) => {
                map.set_first("description", text);
                Self::Object(map)
            }
            other => other,
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<usize> for Json {
    fn from(value: usize) -> Self {
        Self::Number(value.into())
    }
}

impl From<Vec<Self>> for Json {
    fn from(values: Vec<Self>) -> Self {
        Self::Array(values)
    }
}

impl From<Map> for Json {
    fn from(map: Map) -> Self {
        Self::Object(map)
    }
}

impl From<serde_json::Value> for Json {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(value),
            serde_json::Value::Number(value) => Self::Number(value),
            serde_json::Value::String(value) => Self::String(value),
            serde_json::Value::Array(values) => Self::Array(values.into_iter().map(Self::from).collect()),
            serde_json::Value::Object(values) => Self::Object(values.into_iter().map(|(key, value)| (key, Self::from(value))).collect()),
        }
    }
}
