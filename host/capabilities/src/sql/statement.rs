//! What kind of statement a text is, by its first word. The database decides what a statement does; this only keeps out those that would end the
//! host's transactions or change its session.

use sandmill_model::grants::Mode;

use super::Error;

/// Bytes of a keyword.
const KEYWORD_BYTES_MAX: usize = 32;

/// What only the host says, or what it has no way to answer.
const CONTROL: &[&str] = &[
    "ABORT",
    "BEGIN",
    "CLOSE",
    "COMMIT",
    "COPY",
    "DEALLOCATE",
    "DECLARE",
    "DISCARD",
    "END",
    "EXECUTE",
    "FETCH",
    "LISTEN",
    "LOAD",
    "MOVE",
    "PREPARE",
    "RELEASE",
    "RESET",
    "ROLLBACK",
    "SAVEPOINT",
    "SET",
    "START",
    "UNLISTEN",
];
/// What can begin a statement that reads only.
const READING: &[&str] = &["EXPLAIN", "PRAGMA", "SELECT", "SHOW", "TABLE", "VALUES", "WITH"];

/// # Errors
/// Why the statement is not run.
pub(super) fn check(text: &str, mode: Mode) -> Result<(), Error> {
    let keyword = first_keyword(text);
    if keyword.is_empty() {
        return Err(Error::Invalid("the text is no statement".to_owned()));
    }
    if CONTROL.contains(&keyword.as_str()) {
        return Err(Error::Invalid(format!(
            "{keyword} is not for scripts: a transaction is begun and ended by the functions for it, and each call has a session of its own"
        )));
    }
    if mode == Mode::Read && !READING.contains(&keyword.as_str()) {
        return Err(Error::ReadOnly(format!("{keyword} is not for reading")));
    }
    Ok(())
}

/// The first word, in upper case, after white space, comments, brackets and empty statements.
fn first_keyword(text: &str) -> String {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || matches!(c, '(' | ';' | '\u{b}' | '\u{feff}'));
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.find(['\n', '\r']).map_or("", |end| &comment[end..]);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = after_comment(comment);
        } else {
            break;
        }
    }
    let word: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').take(KEYWORD_BYTES_MAX).collect();
    word.to_ascii_uppercase()
}

/// What follows a comment; they nest.
fn after_comment(mut rest: &str) -> &str {
    let mut depth = 1;
    while depth > 0 {
        let Some(at) = rest.find(['*', '/']) else { return "" };
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("*/") {
            depth -= 1;
            rest = after;
        } else if let Some(after) = rest.strip_prefix("/*") {
            depth += 1;
            rest = after;
        } else {
            rest = &rest[1..];
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_found_behind_anything() {
        for (text, keyword) in [
            ("select 1", "SELECT"),
            (" \n\t(( select 1))", "SELECT"),
            ("-- x\ncommit", "COMMIT"),
            ("/* a /* b */ ; */ Commit", "COMMIT"),
            ("/**/--\r\n/***/rollback", "ROLLBACK"),
            (";; ;COMMIT", "COMMIT"),
            ("\u{feff}BEGIN", "BEGIN"),
            ("/* never ends /* */ select", ""),
            ("--", ""),
            ("", ""),
            ("\"select\"", ""),
        ] {
            assert_eq!(first_keyword(text), keyword, "{text}");
        }
    }

    #[test]
    fn what_reads_may_be_read() {
        for text in ["select 1", "with a as (select 1) table a", "values (1)", "explain select 1", "show work_mem"] {
            assert!(check(text, Mode::Read).is_ok(), "{text}");
        }
        for text in ["insert into a values (1)", "do $$ $$", "call p()", "vacuum", "create table a ()", "lock a", "notify x"] {
            assert!(matches!(check(text, Mode::Read), Err(Error::ReadOnly(told)) if told.contains("not for reading")), "{text}");
            assert!(check(text, Mode::Write).is_ok(), "{text}");
        }
        for text in ["commit", "/**/set role x", "copy a to stdout", "end", "start transaction", "", "discard all"] {
            for mode in [Mode::Read, Mode::Write] {
                assert!(matches!(check(text, mode), Err(Error::Invalid(_))), "{text}");
            }
        }
    }
}
