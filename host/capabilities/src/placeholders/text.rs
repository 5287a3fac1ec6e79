//! The form of placeholders, and how they are found and replaced in what leaves in parts.

use bytes::{Bytes, BytesMut};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sandmill_model::ScriptPath;

use super::{Placeholders, RANDOM_BYTES, hexadecimal};

const NAME: &[u8] = b"sandmill-secret";
const HEX_BYTES: usize = 2 * RANDOM_BYTES;

/// What RFC 3986 does not leave as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn text(random: &[u8; RANDOM_BYTES]) -> String {
    format!("{{{{sandmill-secret:{}}}}}", hexadecimal(random))
}

/// How secrets are put in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// As they are, or percent-encoded where the placeholder was.
    AsPlaceholder,
    /// Always percent-encoded: in a URL.
    Encoded,
}

/// Replaces placeholders in bytes that come in parts.
pub(crate) struct Replacing<'a> {
    placeholders: &'a Placeholders,
    /// Only secrets of these.
    paths: &'a [ScriptPath],
    replaced: Replaced,
}

/// What is found where a placeholder may begin.
enum Found {
    Nothing,
    /// The bytes end before it is known.
    Beginning,
    Placeholder {
        length: usize,
        random: [u8; RANDOM_BYTES],
        encoded: bool,
    },
}

impl<'a> Replacing<'a> {
    pub(crate) const fn new(placeholders: &'a Placeholders, paths: &'a [ScriptPath], replaced: Replaced) -> Self {
        Self { placeholders, paths, replaced }
    }

    /// All of it.
    pub(crate) fn whole(&self, bytes: &[u8]) -> Vec<u8> {
        let mut kept = BytesMut::new();
        let mut whole = self.part(&mut kept, bytes).to_vec();
        whole.extend_from_slice(&kept);
        whole
    }

    /// One part more, after what was `kept` of those before; what may be the beginning of a placeholder is kept again.
    pub(crate) fn part(&self, kept: &mut BytesMut, bytes: &[u8]) -> Bytes {
        let mut all = std::mem::take(kept);
        all.extend_from_slice(bytes);
        let mut out = BytesMut::with_capacity(all.len());
        let mut at = 0;
        while let Some(next) = all[at..].iter().position(|byte| matches!(byte, b'{' | b'%')).map(|offset| at + offset) {
            out.extend_from_slice(&all[at..next]);
            at = next;
            match find(&all[at..]) {
                Found::Beginning => {
                    *kept = all.split_off(at);
                    return out.freeze();
                }
                Found::Placeholder { length, random, encoded } => {
                    self.put(&mut out, &all[at..at + length], &random, encoded);
                    at += length;
                }
                Found::Nothing => {
                    out.extend_from_slice(&all[at..=at]);
                    at += 1;
                }
            }
        }
        out.extend_from_slice(&all[at..]);
        out.freeze()
    }

    fn put(&self, out: &mut BytesMut, text: &[u8], random: &[u8; RANDOM_BYTES], encoded: bool) {
        match self.placeholders.secret(random, self.paths) {
            None => out.extend_from_slice(text),
            Some(secret) if encoded || self.replaced == Replaced::Encoded => {
                out.extend_from_slice(utf8_percent_encode(&secret, ENCODED).to_string().as_bytes());
            }
            Some(secret) => out.extend_from_slice(secret.as_bytes()),
        }
    }
}

/// A placeholder at the beginning of `bytes`, each of its marks percent-encoded or not.
fn find(bytes: &[u8]) -> Found {
    let (mut at, mut encoded) = (0, false);
    let mut random = [0; RANDOM_BYTES];
    for mark in [(b'{', *b"7b"), (b'{', *b"7b"), (0, *b"  "), (b':', *b"3a"), (1, *b"  "), (b'}', *b"7d"), (b'}', *b"7d")] {
        let rest = &bytes[at..];
        let step = match mark {
            (0, _) => literal(rest, NAME),
            (1, _) => hex(rest, &mut random),
            (byte, code) => match rest.first() {
                Some(b'%') => {
                    encoded = true;
                    literal(&rest[1..], &code).map(|length| length + 1)
                }
                _ => literal(rest, &[byte]),
            },
        };
        match step {
            Ok(length) => at += length,
            Err(found) => return found,
        }
    }
    Found::Placeholder { length: at, random, encoded }
}

fn literal(bytes: &[u8], wanted: &[u8]) -> Result<usize, Found> {
    let length = wanted.len().min(bytes.len());
    match bytes[..length].eq_ignore_ascii_case(&wanted[..length]) {
        false => Err(Found::Nothing),
        true if length < wanted.len() => Err(Found::Beginning),
        true => Ok(length),
    }
}

fn hex(bytes: &[u8], random: &mut [u8; RANDOM_BYTES]) -> Result<usize, Found> {
    for (at, byte) in bytes.iter().take(HEX_BYTES).enumerate() {
        let Some(digit) = char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()) else { return Err(Found::Nothing) };
        random[at / 2] = (random[at / 2] << 4) | digit;
    }
    if bytes.len() < HEX_BYTES { Err(Found::Beginning) } else { Ok(HEX_BYTES) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> ScriptPath {
        text.parse().unwrap()
    }

    fn replace(placeholders: &Placeholders, replaced: Replaced, text: &str) -> String {
        let paths = [path("f/a/b")];
        String::from_utf8(Replacing::new(placeholders, &paths, replaced).whole(text.as_bytes())).unwrap()
    }

    #[test]
    fn one_text_for_one_secret() {
        let placeholders = Placeholders::default();
        let one = placeholders.make(&path("f/a/b"), "s").unwrap();
        assert!(one.starts_with("{{sandmill-secret:") && one.ends_with("}}") && one.len() == 52, "{one}");
        assert_eq!(placeholders.make(&path("f/a/b"), "s").unwrap(), one);
        assert_ne!(placeholders.make(&path("f/a/b"), "t").unwrap(), one);
        assert_ne!(placeholders.make(&path("f/a/c"), "s").unwrap(), one);
        assert_ne!(Placeholders::default().make(&path("f/a/b"), "s").unwrap(), one);
        assert!(placeholders.has_any_of(&[path("f/a/c")]) && !placeholders.has_any_of(&[path("f/a/d")]));
        let made = (0..2_000).filter_map(|n| placeholders.make(&path("f/x/y"), &n.to_string()).ok()).count();
        assert!(placeholders.make(&path("f/x/y"), &"x".repeat(4 * 1024 + 1)).is_err());
        assert_eq!(made, super::super::PLACEHOLDERS_MAX - 3);
    }

    #[test]
    fn replaced_where_they_belong() {
        let placeholders = Placeholders::default();
        let text = placeholders.make(&path("f/a/b"), "a b/ü").unwrap();
        let other = placeholders.make(&path("f/a/c"), "other").unwrap();
        let encoded = text.replace('{', "%7B").replace('}', "%7D").replace(':', "%3A");
        let half = text.replace('{', "%7b").replace('}', "%7d");
        for (given, plain, in_url) in [
            (text.clone(), "a b/ü", "a%20b%2F%C3%BC"),
            (format!("Bearer {text}."), "Bearer a b/ü.", "Bearer a%20b%2F%C3%BC."),
            (format!("{{{text}}}"), "{a b/ü}", "{a%20b%2F%C3%BC}"),
            (format!("{text}{text}"), "a b/üa b/ü", "a%20b%2F%C3%BCa%20b%2F%C3%BC"),
            (format!("x={encoded}&y"), "x=a%20b%2F%C3%BC&y", "x=a%20b%2F%C3%BC&y"),
            (half, "a%20b%2F%C3%BC", "a%20b%2F%C3%BC"),
            (other.clone(), other.as_str(), other.as_str()),
            (text[..51].to_owned(), &text[..51], &text[..51]),
            ("{{sandmill-secret:zz".to_owned(), "{{sandmill-secret:zz", "{{sandmill-secret:zz"),
            ("%7".to_owned(), "%7", "%7"),
            (String::new(), "", ""),
        ] {
            assert_eq!(replace(&placeholders, Replaced::AsPlaceholder, &given), plain, "{given}");
            assert_eq!(replace(&placeholders, Replaced::Encoded, &given), in_url, "{given}");
        }
    }

    #[test]
    fn found_over_parts_of_any_size() {
        let placeholders = Placeholders::default();
        let text = placeholders.make(&path("f/a/b"), "secret").unwrap();
        let encoded = text.replace('{', "%7B").replace('}', "%7D").replace(':', "%3A");
        let given = format!("a{{{{b{text}%{encoded}{{{text}{}", &text[..20]);
        let paths = [path("f/a/b")];
        let replacing = Replacing::new(&placeholders, &paths, Replaced::AsPlaceholder);
        for size in 1..=given.len() {
            let mut kept = BytesMut::new();
            let mut out = Vec::new();
            for part in given.as_bytes().chunks(size) {
                out.extend_from_slice(&replacing.part(&mut kept, part));
                assert!(kept.len() < 62, "no more is kept than a placeholder has");
            }
            out.extend_from_slice(&kept);
            assert_eq!(String::from_utf8(out).unwrap(), format!("a{{{{bsecret%secret{{secret{}", &text[..20]));
        }
    }
}
