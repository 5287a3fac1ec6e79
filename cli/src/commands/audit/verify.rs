//! Checking a chain: on the server, a part after the other, or in a file that `export` wrote, by computing each hash here.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use sandmill_model::audit::{Entry, Link, Verifier};
use serde::Deserialize;
use serde_json::json;

use super::Chain;
use crate::{
    Session,
    client::Server,
    error::{CliError, Exit},
    render::clean_line,
};

/// Bytes of one line: more than any entry has.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// What the server found.
#[derive(Debug, Deserialize)]
struct Verdict {
    fault: Option<String>,
    anchor: Link,
    verified: Link,
    next: Option<Link>,
}

/// Where what was checked begins and ends.
#[derive(Debug, PartialEq, Eq)]
struct Checked {
    /// What is checked follows this entry.
    start: Link,
    head: Link,
    fault: Option<String>,
}

pub(super) async fn server(server: &Server, chain: Chain, noted: Option<Link>, session: &mut Session<'_>) -> Result<(), CliError> {
    let (mut start, mut after): (Option<Link>, Option<Link>) = (None, None);
    loop {
        let query = [("head", noted), ("after", after)];
        let query: Vec<(&str, String)> = query.into_iter().filter_map(|(name, link)| Some((name, link?.to_string()))).collect();
        let verdict: Verdict = server.read(chain.request(server, "/verify").query(&query)).await?;
        let start = *start.get_or_insert(verdict.anchor);
        match verdict.next {
            Some(next) if verdict.fault.is_none() => {
                session.console.status(&format!("{} entries are right so far", next.number.saturating_sub(start.number)));
                after = Some(next);
            }
            _ => {
                session.console.status_ends();
                return tell(&Checked { start, head: verdict.verified, fault: verdict.fault }, noted, session);
            }
        }
    }
}

pub(super) fn file(path: &Path, noted: Option<Link>, session: &mut Session<'_>) -> Result<(), CliError> {
    let failed = |error: io::Error| CliError::input(format!("cannot read {}: {error}", path.display()));
    let input: Box<dyn BufRead> = match path.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(BufReader::new(File::open(path).map_err(failed)?)),
    };
    tell(&check(input, noted)?, noted, session)
}

/// Entries of one chain, in order, without gaps; from the first on, or from a later one, which must then be known to be right by itself.
fn check(mut input: impl BufRead, noted: Option<Link>) -> Result<Checked, CliError> {
    let mut found: Option<(Link, Verifier)> = None;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let failed = |error: io::Error| CliError::input(format!("line {number} cannot be read: {error}"));
        input.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line).map_err(failed)?;
        if line.is_empty() {
            break;
        }
        if line.len() as u64 > LINE_BYTES_MAX {
            return Err(CliError::input(format!("line {number} is longer than any entry")));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let entry: Entry = serde_json::from_slice(&line)
            .map_err(|error| CliError::input(format!("line {number} is no entry of an audit log as `export` writes it: {error}")))?;
        let (start, verifier) = found.get_or_insert_with(|| {
            let start = if entry.number <= 1 { Link::START } else { Link { number: entry.number - 1, hash: entry.previous } };
            (start, Verifier::new(start, noted))
        });
        if let Err(broken) = verifier.add(&entry) {
            return Ok(Checked { start: *start, head: verifier.last(), fault: Some(broken.to_string()) });
        }
    }
    let Some((start, verifier)) = found else {
        let fault = noted.map(|noted| format!("there are no entries, and there were {} at least", noted.number));
        return Ok(Checked { start: Link::START, head: Link::START, fault });
    };
    Ok(Checked { start, head: verifier.last(), fault: verifier.finish().err().map(|broken| broken.to_string()) })
}

fn tell(checked: &Checked, noted: Option<Link>, session: &mut Session<'_>) -> Result<(), CliError> {
    let Checked { start, head, fault } = checked;
    let console = &mut session.console;
    let older = noted.filter(|noted| noted.number < start.number);
    if console.is_json() {
        console.json(&json!({
            "valid": fault.is_none(),
            "fault": fault,
            "start": start.to_string(),
            "verified": head.to_string(),
            "head_was_let_go": older.is_some(),
        }));
    } else {
        match (head.number, start.number) {
            (last, first) if last > first => console.say(&format!("entries {} to {last} are as they were written", first + 1)),
            _ if fault.is_none() => console.say("there are no entries"),
            _ => {}
        }
        if fault.is_none() && head.number > 0 {
            console.say(&format!("head {head}"));
        }
        if let Some(noted) = older {
            console.note(&format!("entry {} is older than what there is: nothing can be said of it", noted.number));
        }
        if let Some(fault) = fault {
            console.note(&format!("the audit log is not as it was written: {}", clean_line(fault)));
        }
    }
    if fault.is_some() { Err(CliError::Said(Exit::RunFailed)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use sandmill_model::{
        AuditId, Timestamp,
        audit::{Actor, ActorKind, AuditOutcome, Origin, Record},
    };

    use super::*;

    fn entries(count: u64) -> Vec<Entry> {
        let mut last = Link::START;
        let next = |number| {
            let at = Timestamp::from_micros(1_700_000_000_000_000);
            let record = Record {
                id: AuditId::new(at),
                workspace: None,
                actor: Actor::nameless(ActorKind::System),
                origin: Origin::default(),
                request_id: format!("r{number}"),
                action: "keys.rotate".to_owned(),
                target: String::new(),
                outcome: AuditOutcome::Done,
                attempts: 1,
                before: None,
                after: None,
            };
            let entry = Entry::after(last, at, record);
            last = entry.link();
            entry
        };
        (0..count).map(next).collect()
    }

    fn text(entries: &[Entry]) -> String {
        entries.iter().map(|entry| serde_json::to_string(entry).unwrap() + "\n").collect()
    }

    #[test]
    fn files_are_checked() {
        let whole = entries(4);
        let head = whole[3].link();
        let checked = |text: &str, noted| check(text.as_bytes(), noted).unwrap();
        assert_eq!(checked(&text(&whole), Some(head)), Checked { start: Link::START, head, fault: None });
        assert_eq!(checked(&text(&whole[2..]), None), Checked { start: whole[1].link(), head, fault: None }, "a part of it");
        assert_eq!(checked("\n", None), Checked { start: Link::START, head: Link::START, fault: None });
        let fault = |text: &str, noted| checked(text, noted).fault.unwrap();
        assert!(fault(&text(&whole).replace("\"r2\"", "\"r9\""), None).contains("entry 3 was changed"));
        assert!(fault(&text(&[whole[0].clone(), whole[2].clone()]), None).contains("entries 2 to 2 are missing"));
        assert!(fault(&text(&whole[..3]), Some(head)).contains("entries after 3 are missing"));
        assert!(fault("", Some(head)).contains("there were 4"));
        let first = text(&whole).replace(&format!("{}", Link::START.hash), &format!("{}", head.hash));
        assert!(fault(&first, None).contains("entry 1 was changed"), "the first follows nothing");
        for rubbish in ["x", "{}", &format!("\"{}\"", "x".repeat(2_000_000))] {
            assert!(matches!(check(rubbish.as_bytes(), None), Err(CliError::Input(_))));
        }
    }
}
