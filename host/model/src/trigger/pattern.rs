//! Patterns of paths, and tables of them in which a request's path is looked up: `/users/:id`, `/files/*rest`.
//!
//! A literal goes before a parameter, and that before a rest. Two patterns that differ in nothing but the names of parameters are one: the
//! second is refused where it would be kept.

use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr, sync::Arc};

use http::Method;
use percent_encoding::percent_decode_str;

/// Bytes of a pattern.
const PATTERN_BYTES_MAX: usize = 512;
/// Segments of a pattern.
const SEGMENTS_MAX: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(Arc<str>),
    Parameter(Arc<str>),
    Rest(Arc<str>),
}

/// What is wrong with a pattern, for its author.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPattern(pub String);

/// A checked pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: Arc<str>,
    segments: Vec<Segment>,
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let invalid = |why: String| Err(InvalidPattern(why));
        if text.len() > PATTERN_BYTES_MAX {
            return invalid(format!("a pattern has at most {PATTERN_BYTES_MAX} bytes"));
        }
        let Some(inner) = text.strip_prefix('/') else { return invalid("a pattern starts with `/`".to_owned()) };
        let mut segments: Vec<Segment> = Vec::new();
        let mut names = Vec::new();
        for part in inner.split('/').filter(|_| !inner.is_empty()) {
            if matches!(segments.last(), Some(Segment::Rest(_))) {
                return invalid("`*rest` is the last segment".to_owned());
            }
            let segment = segment(part)?;
            if let Segment::Parameter(name) | Segment::Rest(name) = &segment {
                if names.contains(name) {
                    return invalid(format!("two parameters are called `{name}`"));
                }
                names.push(Arc::clone(name));
            }
            segments.push(segment);
        }
        if segments.len() > SEGMENTS_MAX {
            return invalid(format!("a pattern has at most {SEGMENTS_MAX} segments"));
        }
        Ok(Self { text: text.into(), segments })
    }
}

fn segment(part: &str) -> Result<Segment, InvalidPattern> {
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|first: char| first.is_ascii_digit())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match part.strip_prefix(':').map(|name| (name, false)).or_else(|| part.strip_prefix('*').map(|name| (name, true))) {
        Some((name, _)) if !is_name(name) => {
            Err(InvalidPattern(format!("`{part}`: a parameter is `:name` or `*name`, a name letters, digits and `_`, no digit first")))
        }
        Some((name, true)) => Ok(Segment::Rest(name.into())),
        Some((name, false)) => Ok(Segment::Parameter(name.into())),
        None if part.is_empty() || part == "." || part == ".." => Err(InvalidPattern("a segment is empty, `.` or `..`".to_owned())),
        // As it is compared: what is encoded in a request is decoded before.
        None if part
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'%' | b'?' | b'#' | b':' | b'*' | b'{' | b'}' | b'\\')) =>
        {
            Ok(Segment::Literal(part.into()))
        }
        None => {
            Err(InvalidPattern(format!("`{part}` has a character that no pattern has: they are visible ASCII without % ? # : * {{ }} \\")))
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Pattern {
    #[must_use]
    pub fn as_str(&self) -> &Arc<str> {
        &self.text
    }

    /// Names of its parameters, in order.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Parameter(name) | Segment::Rest(name) => Some(name),
        })
    }

    /// As descriptions of HTTP write it: `/users/{id}`.
    #[must_use]
    pub fn described(&self) -> String {
        self.segments.iter().fold(String::new(), |text, segment| match segment {
            Segment::Literal(literal) => format!("{text}/{literal}"),
            Segment::Parameter(name) | Segment::Rest(name) => format!("{text}/{{{name}}}"),
        })
    }

    /// The same for patterns that match the same paths.
    fn shape(&self) -> String {
        let shape = self.segments.iter().fold(String::new(), |text, segment| match segment {
            Segment::Literal(literal) => format!("{text}/{literal}"),
            Segment::Parameter(_) => format!("{text}/:"),
            Segment::Rest(_) => format!("{text}/*"),
        });
        if shape.is_empty() { "/".to_owned() } else { shape }
    }
}

/// What one stored trigger of a kind takes and no other of its workspace may take: unique in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointKey {
    /// Requests to a path.
    Route { method: Method, pattern: Pattern },
    /// Requests to a script's own URL.
    Script(crate::path::ScriptPath),
}

impl EndpointKey {
    /// As it is kept: two that are equal are in each other's way.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Route { method, pattern } => format!("{method} {}", pattern.shape()),
            Self::Script(path) => path.to_string(),
        }
    }
}

/// Of what was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'t, T> {
    /// With the values of parameters, decoded.
    Match {
        value: &'t T,
        pattern: &'t Pattern,
        params: Vec<(Arc<str>, String)>,
    },
    /// The path is there, for these methods.
    WrongMethod(Vec<Method>),
    Nothing,
}

/// Patterns by method. Looking up takes no more steps than there are segments of patterns on the way.
#[derive(Clone, Debug)]
pub struct Table<T> {
    root: Node<T>,
}

#[derive(Clone, Debug)]
struct Node<T> {
    literals: BTreeMap<Arc<str>, Node<T>>,
    parameter: Option<Box<Node<T>>>,
    ends: Vec<End<T>>,
    rests: Vec<End<T>>,
}

#[derive(Clone, Debug)]
struct End<T> {
    method: Method,
    pattern: Pattern,
    value: T,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { literals: BTreeMap::new(), parameter: None, ends: Vec::new(), rests: Vec::new() }
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<T> Table<T> {
    /// One that is there already stays, and the new one is not kept.
    pub fn insert(&mut self, method: Method, pattern: Pattern, value: T) {
        let mut node = &mut self.root;
        let mut is_rest = false;
        for segment in &pattern.segments {
            node = match segment {
                Segment::Literal(literal) => node.literals.entry(Arc::clone(literal)).or_default(),
                Segment::Parameter(_) => &mut **node.parameter.get_or_insert_default(),
                Segment::Rest(_) => {
                    is_rest = true;
                    break;
                }
            };
        }
        let ends = if is_rest { &mut node.rests } else { &mut node.ends };
        if ends.iter().all(|end| end.method != method) {
            ends.push(End { method, pattern, value });
        }
    }

    /// `path` starts with `/` and is as it was sent, percent-encoded. Segments are decoded one by one, so `%2F` is no border; one that is not UTF-8
    /// fits nothing.
    #[must_use]
    pub fn find(&self, method: &Method, path: &str) -> Found<'_, T> {
        let Some(inner) = path.strip_prefix('/') else { return Found::Nothing };
        let decoded: Result<Vec<Cow<'_, str>>, _> =
            inner.split('/').filter(|_| !inner.is_empty()).map(|part| percent_decode_str(part).decode_utf8()).collect();
        let Ok(parts) = decoded else { return Found::Nothing };
        // Such a path means another to whoever resolves it, also where its borders were encoded.
        if parts.iter().any(|part| part.split(['/', '\\']).any(|step| step == "." || step == "..")) {
            return Found::Nothing;
        }
        let mut methods = Vec::new();
        match self.root.find(method, &parts, &mut methods) {
            Some(end) => Found::Match { value: &end.value, pattern: &end.pattern, params: params(&end.pattern, &parts) },
            None if methods.is_empty() => Found::Nothing,
            None => Found::WrongMethod(methods),
        }
    }
}

impl<T> Node<T> {
    fn find<'n>(&'n self, method: &Method, parts: &[Cow<'_, str>], methods: &mut Vec<Method>) -> Option<&'n End<T>> {
        let Some((first, others)) = parts.split_first() else { return pick(&self.ends, method, methods) };
        self.literals
            .get(&**first)
            .and_then(|node| node.find(method, others, methods))
            // An empty segment is no value.
            .or_else(|| self.parameter.as_ref().filter(|_| !first.is_empty()).and_then(|node| node.find(method, others, methods)))
            .or_else(|| pick(&self.rests, method, methods))
    }
}

fn pick<'n, T>(ends: &'n [End<T>], method: &Method, methods: &mut Vec<Method>) -> Option<&'n End<T>> {
    let found = ends.iter().find(|end| end.method == *method);
    if found.is_none() {
        let others = ends.iter().map(|end| &end.method).filter(|other| !methods.contains(other)).cloned().collect::<Vec<_>>();
        methods.extend(others);
    }
    found
}

fn params(pattern: &Pattern, parts: &[Cow<'_, str>]) -> Vec<(Arc<str>, String)> {
    let value = |(index, segment): (usize, &Segment)| match segment {
        Segment::Literal(_) => None,
        Segment::Parameter(name) => Some((Arc::clone(name), parts.get(index)?.to_string())),
        Segment::Rest(name) => Some((Arc::clone(name), parts.get(index..)?.join("/"))),
    };
    pattern.segments.iter().enumerate().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(patterns: &[&'static str]) -> Table<&'static str> {
        let mut table = Table::default();
        for text in patterns {
            let (method, pattern) = text.split_once(' ').unwrap();
            table.insert(method.parse().unwrap(), pattern.parse().unwrap(), *text);
        }
        table
    }

    #[test]
    fn the_most_literal_pattern_is_found() {
        let table = table(&["GET /", "GET /a/b", "GET /a/:x", "POST /a/:x", "GET /a/:x/c", "GET /a/b/d", "GET /f/*rest"]);
        let check = |method: Method, path: &str, expected: Option<(&str, &[(&str, &str)])>| match (table.find(&method, path), expected) {
            (Found::Match { value, params, .. }, Some((pattern, values))) => {
                let params: Vec<_> = params.iter().map(|(name, value)| (&**name, value.as_str())).collect();
                assert_eq!((*value, &*params), (pattern, values), "{path}");
            }
            (Found::Match { value, .. }, None) => panic!("{path}: {value}"),
            (found, expected) => assert!(expected.is_none(), "{path}: {found:?}"),
        };
        let get = || Method::GET;
        check(get(), "/", Some(("GET /", &[])));
        check(get(), "/a/b", Some(("GET /a/b", &[])));
        check(get(), "/a/z%20z", Some(("GET /a/:x", &[("x", "z z")])));
        check(get(), "/a/z%2Fz", Some(("GET /a/:x", &[("x", "z/z")])));
        check(get(), "/a/b/c", Some(("GET /a/:x/c", &[("x", "b")])));
        check(get(), "/a/b/d", Some(("GET /a/b/d", &[])));
        check(Method::POST, "/a/b", Some(("POST /a/:x", &[("x", "b")])));
        check(get(), "/f/x/y/", Some(("GET /f/*rest", &[("rest", "x/y/")])));
        check(get(), "/f/..x/y..", Some(("GET /f/*rest", &[("rest", "..x/y..")])));
        for nothing in ["", "a", "/a", "/a/", "/f", "/a/b/", "/a/%ff", "/a/..", "/f/%2e%2e/x", "/A/b"] {
            check(get(), nothing, None);
        }
        // Whoever opens what a rest names must not be led out of where they look.
        for hidden in ["/f/..%2fx", "/f/x%2F..%2f..%2fetc", "/f/%2e%2e%5cx", "/f/x/.%2Fy", "/a/..%2f", "/a/%2f.."] {
            check(get(), hidden, None);
        }
        assert_eq!(table.find(&Method::PUT, "/a/b"), Found::WrongMethod(vec![Method::GET, Method::POST]));
    }

    #[test]
    fn equal_shapes_have_equal_keys() {
        let key = |text: &str| EndpointKey::Route { method: Method::GET, pattern: text.parse().unwrap() }.text();
        assert_eq!(key("/a/:x/*y"), key("/a/:other/*rest"));
        assert_eq!((key("/a/:x").as_str(), key("/").as_str()), ("GET /a/:", "GET /"));
        assert_ne!(key("/a/:x"), key("/a/x"));
    }

    #[test]
    fn wrong_patterns_are_told() {
        let long = format!("/{}", "x/".repeat(300));
        for wrong in [
            "", "a", "//", "/a/", "/a//b", "/../a", "/*rest/a", "/:", "/:1", "/:a-b", "/:a/:a", "/a b", "/%41", "/{x}", "/a:b", "/ü", &long,
        ] {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
        }
        assert_eq!("/a/:x/*y".parse::<Pattern>().unwrap().described(), "/a/{x}/{y}");
    }
}
