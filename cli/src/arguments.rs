//! Arguments of a run: `--args JSON|@file|-` and any number of `--arg name=value` on top.

use std::{fs, io::Read, path::Path};

use sandmill_model::{Event, JsonText};
use serde_json::value::RawValue;

use crate::{error::CliError, event::WrittenEvent};

/// Bytes of arguments that are read; the server has limits of its own.
const ARGUMENTS_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Arguments {
    /// Arguments as a JSON object, `@FILE` to read one, `-` for stdin
    #[arg(long, value_name = "JSON|@FILE|-")]
    args: Option<String>,
    /// One argument; the value is JSON if it parses as such, else a string
    #[arg(long = "arg", value_name = "NAME=VALUE")]
    arg: Vec<String>,
}

impl Arguments {
    /// Whether nothing was said.
    pub(crate) fn is_empty(&self) -> bool {
        self.args.is_none() && self.arg.is_empty()
    }

    /// One JSON object. Text that the user wrote as JSON is passed on as written: no number loses a digit.
    pub(crate) fn read(&self) -> Result<JsonText, CliError> {
        let all = read_object(self.args.as_deref().unwrap_or("{}"))?;
        if self.arg.is_empty() {
            return Ok(all);
        }
        let pairs = self.arg.iter().map(|pair| parse_pair(pair)).collect::<Result<Vec<_>, _>>()?;
        merge(&all, pairs)
    }
}

/// The event that `--event JSON|@FILE|-` means.
pub(crate) fn read_event(event: &str) -> Result<Event, CliError> {
    let text = text_of(event)?;
    let written: WrittenEvent = serde_json::from_str(&text)
        .map_err(|error| CliError::input(format!("--event: {error}; it is like {{\"headers\": {{…}}, \"body\": …}}")))?;
    written.read().map_err(|fault| CliError::input(format!("--event: {fault}")))
}

/// What is written, or is in the file `@FILE`, or comes by stdin.
fn text_of(argument: &str) -> Result<String, CliError> {
    match (argument, argument.strip_prefix('@')) {
        ("-", _) => read("stdin", std::io::stdin()),
        (_, Some(file)) => read(file, open(Path::new(file))?),
        (text, None) => Ok(text.to_owned()),
    }
}

/// The object that `--args JSON|@FILE|-` means, as it is written.
pub(crate) fn read_object(args: &str) -> Result<JsonText, CliError> {
    let text = text_of(args)?;
    let all = JsonText::parse(text).map_err(|error| CliError::input(format!("--args is not valid JSON: {error}")))?;
    if !all.is_object() {
        return Err(CliError::input("--args is not a JSON object: arguments have names, e.g. --args '{\"name\": \"Ann\"}'"));
    }
    Ok(all)
}

fn open(file: &Path) -> Result<fs::File, CliError> {
    fs::File::open(file).map_err(|error| CliError::input(format!("cannot read {}: {error}", file.display())))
}

fn read(name: &str, source: impl Read) -> Result<String, CliError> {
    let mut text = String::new();
    let read = source.take(ARGUMENTS_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| CliError::input(format!("cannot read arguments from {name}: {error}")))?;
    if text.len() as u64 > ARGUMENTS_BYTES_MAX {
        return Err(CliError::input(format!("arguments in {name} are over {ARGUMENTS_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn parse_pair(pair: &str) -> Result<(String, Box<RawValue>), CliError> {
    let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
        return Err(CliError::input(format!("--arg {pair:?} is not of the form name=value")));
    };
    let text = || serde_json::value::to_raw_value(value).map_err(|error| CliError::input(error.to_string()));
    let value = serde_json::from_str::<Box<RawValue>>(value).or_else(|_| text())?;
    Ok((name.to_owned(), value))
}

/// A later name replaces an earlier one, in its place.
fn merge(all: &JsonText, pairs: Vec<(String, Box<RawValue>)>) -> Result<JsonText, CliError> {
    let failed = |error: serde_json::Error| CliError::input(format!("the arguments cannot be put together: {error}"));
    let members: Members = all.read().map_err(failed)?;
    let mut members = members.0;
    for (name, value) in pairs {
        match members.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => members.push((name, value)),
        }
    }
    let mut text = String::from("{");
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(&serde_json::Value::from(name.as_str()).to_string());
        text.push(':');
        text.push_str(value.get());
    }
    text.push('}');
    JsonText::parse(text).map_err(failed)
}

/// Members of an object in their order, values untouched.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> serde::Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: Option<&str>, arg: &[&str]) -> Result<String, String> {
        let arguments = Arguments { args: args.map(Into::into), arg: arg.iter().map(|pair| (*pair).to_owned()).collect() };
        arguments.read().map(|json| json.as_str().to_owned()).map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn arguments() {
        for (args, arg, expected) in [
            (None, &[][..], "{}"),
            (Some(r#"{"n": 12345678901234567890123}"#), &[], r#"{"n": 12345678901234567890123}"#),
            (
                None,
                &["name=Ann", "n=3", "on=true", "list=[1,2]", "text=\"3\"", "empty=", "eq=a=b", "big=1e400"],
                r#"{"name":"Ann","n":3,"on":true,"list":[1,2],"text":"3","empty":"","eq":"a=b","big":1e400}"#,
            ),
            (Some(r#"{"a":1,"b":{"c":[ 1 ]}}"#), &["a=2", "d=x"], r#"{"a":2,"b":{"c":[ 1 ]},"d":"x"}"#),
            (None, &["quo\"te=x"], r#"{"quo\"te":"x"}"#),
        ] {
            assert_eq!(read(args, arg).unwrap(), expected, "{args:?} {arg:?}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for (args, arg) in [(Some("[1]"), &[][..]), (Some("{"), &[]), (Some("@/does/not/exist"), &[]), (None, &["name"]), (None, &["=x"])] {
            assert!(read(args, arg).is_err(), "{args:?} {arg:?}");
        }
    }

    #[test]
    fn a_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("args.json");
        fs::write(&file, "{\"a\": 1}\n").unwrap();
        assert_eq!(read(Some(&format!("@{}", file.display())), &["b=2"]).unwrap(), "{\"a\":1,\"b\":2}");
    }
}
