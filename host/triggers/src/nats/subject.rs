//! Subjects: tokens with dots between them. What is in one ends up in the lines of the protocol, so nothing else is let through.

/// Bytes of a subject.
const BYTES_MAX: usize = 1_024;

/// # Errors
/// Why nothing can be sent to it.
pub(super) fn check(subject: &str) -> Result<(), String> {
    check_pattern(subject)?;
    if subject.split('.').any(|token| matches!(token, "*" | ">")) {
        return Err("a message is sent to one subject, without `*` and `>`".to_owned());
    }
    Ok(())
}

/// # Errors
/// Why it cannot be listened to.
pub(super) fn check_pattern(subject: &str) -> Result<(), String> {
    if subject.len() > BYTES_MAX {
        return Err(format!("a subject has at most {BYTES_MAX} bytes"));
    }
    if subject.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("a subject has no spaces and no control characters".to_owned());
    }
    let mut tokens = subject.split('.').peekable();
    while let Some(token) = tokens.next() {
        if token.is_empty() {
            return Err("a subject has no empty parts between its dots".to_owned());
        }
        if token == ">" && tokens.peek().is_some() {
            return Err("`>` stands for all that follows: nothing comes after it".to_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects() {
        for good in ["a", "orders.eu.new", "$JS.API.INFO", "ä.b-c_d"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for pattern in ["orders.*", "orders.>", ">", "*.b"] {
            assert_eq!(check_pattern(pattern), Ok(()), "{pattern}");
            assert!(check(pattern).is_err(), "{pattern}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a b", "a\tb", "a\r\nPUB x 0", "a\u{a0}b", "a\0", ">.a", &"a".repeat(BYTES_MAX + 1)] {
            assert!(check(bad).is_err() && check_pattern(bad).is_err(), "{bad:?}");
        }
    }
}
