//! Texts that must not be on the command line: from stdin, a file, the environment, or asked for without being shown.

use std::{
    fs,
    io::{self, IsTerminal, Read},
    path::Path,
};

use crate::error::CliError;

/// Bytes that are read; the server has limits of its own.
const BYTES_MAX: u64 = 1024 * 1024;

/// All of a file, or of stdin if it is `-`.
pub(super) fn read(file: &Path) -> Result<String, CliError> {
    let name = if file.as_os_str() == "-" { "stdin".to_owned() } else { file.display().to_string() };
    let failed = |error: io::Error| CliError::input(format!("cannot read {name}: {error}"));
    let mut text = String::new();
    let read = match file.to_str() {
        Some("-") => io::stdin().take(BYTES_MAX + 1).read_to_string(&mut text),
        _ => fs::File::open(file).map_err(failed)?.take(BYTES_MAX + 1).read_to_string(&mut text),
    };
    read.map_err(failed)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(CliError::input(format!("{name} has more than {BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// A text that somebody types, or that is all of stdin but for the line break at its end.
pub(super) fn ask(what: &str) -> Result<String, CliError> {
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(format!("{what}: "))
            .map_err(|error| CliError::input(format!("nothing can be asked here: {error}")));
    }
    let mut text = read(Path::new("-"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// Two texts that somebody types, or that are the two lines of stdin.
pub(super) fn ask_two(one: &str, other: &str) -> Result<[String; 2], CliError> {
    if io::stdin().is_terminal() {
        return Ok([ask(one)?, ask(other)?]);
    }
    let text = read(Path::new("-"))?;
    let lines: Vec<&str> = text.lines().collect();
    match lines[..] {
        [one, other] => Ok([one.to_owned(), other.to_owned()]),
        _ => Err(CliError::input(format!("stdin must have two lines: {one}, {other}"))),
    }
}

/// The variable of the environment that a secret field is taken from: `/basic/password` is `SANDMILL_SECRET_BASIC_PASSWORD`.
pub(super) fn variable(pointer: &str) -> String {
    let name: String = pointer
        .trim_start_matches('/')
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() { char.to_ascii_uppercase() } else { '_' })
        .collect();
    format!("SANDMILL_SECRET_{name}")
}

/// What the environment says, else what is asked for.
pub(super) fn field(pointer: &str) -> Result<String, CliError> {
    #[expect(clippy::disallowed_methods, reason = "the names of these variables are those of fields, which clap does not know")]
    let given = std::env::var(variable(pointer)).ok();
    match given {
        Some(text) => Ok(text),
        None if io::stdin().is_terminal() => ask(pointer),
        None => {
            Err(CliError::input(format!("{pointer} is not given: set {}, or send the whole value with `-` or --file", variable(pointer))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_named_after_fields() {
        assert_eq!(variable("/basic/password"), "SANDMILL_SECRET_BASIC_PASSWORD");
        assert_eq!(variable("/secret-key"), "SANDMILL_SECRET_SECRET_KEY");
    }

    #[test]
    fn files_are_read_within_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        assert!(read(&file).is_err());
        fs::write(&file, "hunter2\n").unwrap();
        assert_eq!(read(&file).unwrap(), "hunter2\n");
        fs::write(&file, "x".repeat(2 * 1024 * 1024)).unwrap();
        assert!(read(&file).is_err());
    }
}
