//! When two JSON texts are the same value, for compare-and-swap.
//!
//! The order of keys, spaces and the way a character is escaped do not count; of a key given twice the last counts. Numbers are compared by their exact
//! decimal value, without rounding: `1`, `1.0` and `10e-1` are equal (a script that reads `1.0` and compares with it writes `1`), and
//! 12345678901234567890 differs from 12345678901234567891.

use std::{borrow::Cow, collections::BTreeMap};

use sandmill_model::{Digest, JsonText};

/// Digest of the canonical form: equal for equal values.
pub(super) fn canonical_digest(json: &JsonText) -> Digest {
    let mut reader = Reader { rest: json.as_str() };
    let mut canonical = String::with_capacity(json.as_str().len());
    reader.value(&mut canonical);
    Digest::of(canonical.as_bytes())
}

/// Reads text that is known to be valid JSON; nesting is bounded where it was checked.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn value(&mut self, out: &mut String) {
        self.skip_spaces();
        match self.rest.as_bytes().first() {
            Some(b'{') => self.object(out),
            Some(b'[') => self.array(out),
            Some(b'"') => {
                let text = self.string();
                push_quoted(&text, out);
            }
            Some(b'-' | b'0'..=b'9') => push_number(self.take(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')), out),
            _ => out.push_str(self.take(|byte| byte.is_ascii_alphabetic())),
        }
    }

    fn object(&mut self, out: &mut String) {
        let mut members = BTreeMap::new();
        self.skip(1);
        while self.next_member(b'}') {
            let key = self.string();
            self.skip_spaces();
            // The colon.
            self.skip(1);
            let mut value = String::new();
            self.value(&mut value);
            members.insert(key, value);
        }
        out.push('{');
        for (index, (key, value)) in members.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            push_quoted(key, out);
            out.push(':');
            out.push_str(value);
        }
        out.push('}');
    }

    fn array(&mut self, out: &mut String) {
        out.push('[');
        self.skip(1);
        while self.next_member(b']') {
            self.value(out);
            out.push(',');
        }
        out.push(']');
    }

    /// Moves to the next member; false, and past the bracket, where there is none.
    fn next_member(&mut self, end: u8) -> bool {
        self.skip_spaces();
        if self.rest.starts_with(',') {
            self.skip(1);
            self.skip_spaces();
        }
        match self.rest.as_bytes().first() {
            Some(byte) if *byte == end => {
                self.skip(1);
                false
            }
            // Valid text does not end here.
            other => other.is_some(),
        }
    }

    /// A string's characters. One that is no Unicode text, because it has half of a surrogate pair, stands for itself as it was written.
    fn string(&mut self) -> Cow<'a, str> {
        let bytes = self.rest.as_bytes();
        let mut end = 1;
        while end < bytes.len() && bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        let (quoted, rest) = self.rest.split_at((end + 1).min(bytes.len()));
        self.rest = rest;
        if quoted.contains('\\') {
            serde_json::from_str::<String>(quoted).map_or(Cow::Borrowed(quoted), Cow::Owned)
        } else {
            Cow::Borrowed(&quoted[1..end.min(quoted.len())])
        }
    }

    fn take(&mut self, belongs: impl Fn(u8) -> bool) -> &'a str {
        let end = self.rest.bytes().position(|byte| !belongs(byte)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }
}

/// With its length before it, so that nothing needs to be escaped.
fn push_quoted(text: &str, out: &mut String) {
    out.push_str(&text.len().to_string());
    out.push('"');
    out.push_str(text);
    out.push('"');
}

/// As sign, digits without zeros at either end, and a power of ten.
fn push_number(text: &str, out: &mut String) {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let Ok(exponent) = exponent.parse::<i64>() else {
        // An exponent past all reason is compared as it is written.
        out.push_str(text);
        return;
    };
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        out.push('0');
        return;
    }
    let dropped = digits.len() - digits.trim_end_matches('0').len();
    let power = i128::from(exponent) - fraction.len() as i128 + dropped as i128;
    out.push_str(&format!("{sign}{significant}e{power}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_form() {
        let digest = |text: &str| canonical_digest(&JsonText::parse(text).unwrap());
        for (left, right) in [
            (r#"{"a":1,"b":[true,null]}"#, " { \"b\" : [ true , null ] , \"a\" : 1.0 } "),
            ("1", "1.0"),
            ("1", "10e-1"),
            ("100", "1E+2"),
            ("-0.0", "0"),
            ("0.00120", "12e-4"),
            (r#""\u00e4\/""#, "\"ä/\""),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#"{"\u0061":1}"#, r#"{"a":1}"#),
            ("[]", "[ ]"),
            ("{}", "{\n}"),
            (r#""\ud800""#, r#""\ud800""#),
        ] {
            assert_eq!(digest(left), digest(right), "{left} {right}");
        }
        for (left, right) in [
            ("12345678901234567890123", "12345678901234567890124"),
            ("1", "-1"),
            ("1", "10"),
            ("1", "\"1\""),
            ("0.1", "0.10000000000000000001"),
            ("1e400", "2e400"),
            ("1e99999999999999999999", "1e99999999999999999998"),
            ("[1,2]", "[2,1]"),
            ("[[1],2]", "[1,[2]]"),
            ("[\"a\",\"b\"]", "[\"a\\\",\\\"b\"]"),
            ("null", "\"null\""),
            ("true", "false"),
            (r#"{"a":{"b":1}}"#, r#"{"a":{"b":2}}"#),
            (r#"{"a":null}"#, "{}"),
            (r#""\ud800""#, r#""\ud801""#),
        ] {
            assert_ne!(digest(left), digest(right), "{left} {right}");
        }
    }

    #[test]
    fn deep_and_long_values_are_read_once() {
        let deep = format!("{}1{}", "[".repeat(127), "]".repeat(127));
        let long = format!("[{}\"\\\\\"]", "{\"k\":\"\\\"\"},".repeat(50_000));
        for text in [deep, long] {
            let json = JsonText::parse(text.as_str()).unwrap();
            assert_eq!(canonical_digest(&json), canonical_digest(&JsonText::parse(format!(" {text} ")).unwrap()));
        }
    }
}
