//! `Forwarded` of RFC 7239: a list of elements, each a list of `name=value`, in which values may be quoted.

use std::borrow::Cow;

/// What one proxy says.
pub(super) struct Hop<'a> {
    /// `for`: who asked it.
    pub(super) node: Option<Cow<'a, str>>,
    /// `proto`: how it was asked.
    pub(super) protocol: Option<Cow<'a, str>>,
}

/// The elements of a list; nothing if a quote has no end: then nobody knows where one begins.
pub(super) fn elements(list: &str) -> Option<Vec<&str>> {
    split(list, b',')
}

impl<'a> Hop<'a> {
    /// Nothing if it is not as the standard has it, or says something twice.
    pub(super) fn of(element: &'a str) -> Option<Self> {
        let mut hop = Self { node: None, protocol: None };
        for pair in split(element, b';')? {
            let pair = pair.trim();
            if pair.is_empty() {
                continue;
            }
            let (name, value) = pair.split_once('=')?;
            let place = match name.to_ascii_lowercase().as_str() {
                "for" => &mut hop.node,
                "proto" => &mut hop.protocol,
                _ => continue,
            };
            if place.replace(unquoted(value)?).is_some() {
                return None;
            }
        }
        Some(hop)
    }
}

/// Cuts `text` at each `separator` that is not within quotes.
fn split(text: &str, separator: u8) -> Option<Vec<&str>> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            _ if byte == separator && !is_quoted => {
                // Both are ASCII: it is the border of a character.
                parts.push(text.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..)?);
    (!is_quoted).then_some(parts)
}

fn unquoted(value: &str) -> Option<Cow<'_, str>> {
    let Some(inner) = value.strip_prefix('"') else {
        return (!value.is_empty() && !value.contains(['"', ' ', '\t'])).then_some(Cow::Borrowed(value));
    };
    let inner = inner.strip_suffix('"')?;
    if !inner.contains(['\\', '"']) {
        return Some(Cow::Borrowed(inner));
    }
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.push(characters.next()?),
            '"' => return None,
            other => text.push(other),
        }
    }
    Some(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(element: &str, node: Option<&str>, protocol: Option<&str>) {
        let hop = Hop::of(element).unwrap();
        assert_eq!((hop.node.as_deref(), hop.protocol.as_deref()), (node, protocol), "{element}");
    }

    #[test]
    fn elements_and_their_pairs() {
        check("for=192.0.2.1;proto=https;by=203.0.113.1", Some("192.0.2.1"), Some("https"));
        check("For=\"[2001:db8::1]:443\" ; PROTO=http", Some("[2001:db8::1]:443"), Some("http"));
        check("for=\"a\\\"b\\\\c;d,e\"", Some("a\"b\\c;d,e"), None);
        check("by=x", None, None);
        check("", None, None);
        check("for=a;", Some("a"), None);
        for bad in ["for", "for=", "for=a b", "for=a;for=b", "for=\"a", "for=\"a\"b", "for=a\"b\"", "for=\"a\\\""] {
            assert!(Hop::of(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn lists_are_cut_outside_of_quotes() {
        assert_eq!(elements("for=a, for=\"b,c\" ,for=d").unwrap(), ["for=a", " for=\"b,c\" ", "for=d"]);
        assert_eq!(elements("for=\"a, for=b"), None);
        assert_eq!(elements("").unwrap(), [""]);
    }
}
