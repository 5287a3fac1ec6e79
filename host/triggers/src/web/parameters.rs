//! Header fields of the form `value; name=value; name="quoted"`.

/// Parameters of one field.
const PARAMETERS_MAX: usize = 16;

/// What stands before the first parameter, and the parameters with their names in lower case. None: it is not of this form.
pub(crate) fn split(field: &str) -> Option<(&str, Vec<(String, String)>)> {
    let (value, mut rest) = field.split_once(';').unwrap_or((field, ""));
    let mut parameters = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        if rest.is_empty() {
            return Some((value.trim(), parameters));
        }
        if parameters.len() == PARAMETERS_MAX {
            return None;
        }
        let (name, after) = rest.split_once('=')?;
        let (text, behind) = if let Some(quoted) = after.trim_start().strip_prefix('"') { unquote(quoted)? } else { token(after) };
        parameters.push((name.trim().to_ascii_lowercase(), text));
        rest = behind;
    }
}

fn token(text: &str) -> (String, &str) {
    let end = text.find(';').unwrap_or(text.len());
    (text[..end].trim().to_owned(), &text[end..])
}

/// What is before the closing quote, and what behind it. A backslash stands for itself unless a quote or another one follows: browsers write
/// paths of files without more of them.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => match characters.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                Some((_, next)) => out.push(next),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_split() {
        let check = |field: &str, value: &str, expected: &[(&str, &str)]| {
            let (found, parameters) = split(field).unwrap();
            let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, text)| (&**name, &**text)).collect();
            assert_eq!((found, &*parameters), (value, expected), "{field}");
        };
        check("form-data", "form-data", &[]);
        check("a/b; Charset=utf-8 ;", "a/b", &[("charset", "utf-8")]);
        check(r#"form-data; name="a;b"; filename="x\"y\\z\w""#, "form-data", &[("name", "a;b"), ("filename", r#"x"y\z\w"#)]);
        for wrong in ["a; b", r#"a; b="c"#, &format!("a{}", "; b=c".repeat(PARAMETERS_MAX + 1))] {
            assert!(split(wrong).is_none(), "{wrong}");
        }
    }
}
