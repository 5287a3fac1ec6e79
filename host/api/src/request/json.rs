//! JSON that was checked and goes out where a line break has a meaning.

use std::borrow::Cow;

/// The same value in one line: within strings JSON has no line breaks, and elsewhere a space does as well.
pub(crate) fn one_line(json: &str) -> Cow<'_, str> {
    if json.contains(['\n', '\r']) { Cow::Owned(json.replace(['\n', '\r'], " ")) } else { Cow::Borrowed(json) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_become_spaces() {
        assert_eq!(one_line("{\"a\":\"\\n\"}"), "{\"a\":\"\\n\"}");
        assert_eq!(one_line("{\r\n \"a\":\n1}"), "{   \"a\": 1}");
    }
}
