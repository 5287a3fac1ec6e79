//! The query of a URL as name and value pairs, and as a JSON object.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use sandmill_model::{Code, code::Refusal};

use super::push_json_string;

/// Pairs in one query. Grouping repeated names is quadratic in it.
pub(crate) const PAIRS_MAX: usize = 256;
/// The name that carries an API token; it never reaches a script.
const TOKEN: &str = "token";

pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Decodes `text`, the part of a URL after `?`, leaving out the token.
    ///
    /// # Errors
    /// If there are too many pairs or one is not UTF-8.
    pub(crate) fn parse(text: Option<&'a str>) -> Result<Self, Refusal> {
        let mut pairs = Vec::new();
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(Refusal::new(Code::BadRequest, "the query is not UTF-8 once its percent-encoding is undone"));
            };
            if name == TOKEN {
                continue;
            }
            if pairs.len() == PAIRS_MAX {
                return Err(Refusal::new(Code::BadRequest, format!("the query has more than {PAIRS_MAX} pairs; send a JSON body instead")));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// The first value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| &**value)
    }

    /// Without the pairs of these names.
    pub(crate) fn without(mut self, names: &[&str]) -> Self {
        self.0.retain(|(own, _)| !names.contains(&&**own));
        self
    }

    /// With the pairs of these names alone.
    pub(crate) fn only(mut self, names: &[String]) -> Self {
        self.0.retain(|(own, _)| names.iter().any(|name| name == own));
        self
    }

    /// Appends the pairs as a JSON object of strings; a name that comes several times gets an array.
    pub(crate) fn push_json(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        let mut first = true;
        for (at, (name, value)) in self.0.iter().enumerate() {
            if self.0[..at].iter().any(|(earlier, _)| earlier == name) {
                continue;
            }
            if !first {
                out.push(b',');
            }
            first = false;
            push_json_string(out, name);
            out.push(b':');
            let mut others = self.0[at + 1..].iter().filter(|(other, _)| other == name).map(|(_, value)| value).peekable();
            if others.peek().is_none() {
                push_json_string(out, value);
                continue;
            }
            out.push(b'[');
            push_json_string(out, value);
            for other in others {
                out.push(b',');
                push_json_string(out, other);
            }
            out.push(b']');
        }
        out.push(b'}');
    }
}

/// `+` is a space, as HTML forms and `URLSearchParams` write it. None: it is not UTF-8.
pub(super) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Some(Cow::Owned(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned()));
    }
    percent_decode_str(text).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<String, Code> {
        let query = Query::parse(Some(text)).map_err(|refusal| refusal.code)?;
        let mut out = Vec::new();
        query.push_json(&mut out);
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn pairs_become_an_object() {
        for (query, expected) in [
            ("", "{}"),
            ("&&", "{}"),
            ("a=1", r#"{"a":"1"}"#),
            ("a=1&b=2&a=3&a=", r#"{"a":["1","3",""],"b":"2"}"#),
            ("a", r#"{"a":""}"#),
            ("a=b=c", r#"{"a":"b=c"}"#),
            ("n%C3%A4me=J%C3%BCrgen+M%2B", r#"{"näme":"Jürgen M+"}"#),
            ("q=%22%5C%0A", r#"{"q":"\"\\\n"}"#),
            ("__proto__=x", r#"{"__proto__":"x"}"#),
            ("token=sm_secret&a=1", r#"{"a":"1"}"#),
            ("%74oken=sm_secret", "{}"),
        ] {
            assert_eq!(json(query).as_deref(), Ok(expected), "{query}");
        }
    }

    #[test]
    fn refuses_what_is_not_text_and_too_many_pairs() {
        assert_eq!(json("a=%FF"), Err(Code::BadRequest));
        assert_eq!(json("a=+%FF"), Err(Code::BadRequest));
        let most = vec!["a=1"; PAIRS_MAX].join("&");
        assert!(json(&most).is_ok());
        assert_eq!(json(&format!("{most}&a=1")), Err(Code::BadRequest));
    }
}
