//! Signals by LISTEN and NOTIFY.

use futures_util::StreamExt;
use sandmill_model::{BoxFuture, ListenerId, RunId, TokenId, WorkspaceId, people::Name};
use uuid::Uuid;

use super::Sql;
use crate::{
    StoreError,
    signals::{Heard, Signal, Signals},
};

const CHANNEL: &str = "sandmill";
/// Ids in one notification, whose payload PostgreSQL bounds at 8,000 bytes.
const IDS_MAX: usize = 200;
/// Names in one notification; each has 64 bytes at most.
const NAMES_MAX: usize = 100;

impl Signals for Sql {
    fn reach_others(&self) -> bool {
        self.db.is_shared()
    }

    fn send(&self, signal: Signal) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            for payload in payloads(&signal) {
                self.db.notify(CHANNEL, &payload).await?;
            }
            Ok(())
        })
    }

    fn listen(&self) -> BoxFuture<'_, Result<Heard, StoreError>> {
        Box::pin(async move {
            let payloads = self.db.listen(CHANNEL).await?;
            Ok(payloads.filter_map(|payload| std::future::ready(payload.map(|payload| read(&payload)).transpose())).boxed())
        })
    }
}

fn payloads(signal: &Signal) -> Vec<String> {
    match signal {
        Signal::Ready => vec!["ready".to_owned()],
        Signal::Ended(runs) => with_ids("ended", runs, |run| run.0),
        Signal::Logged(runs) => with_ids("logged", runs, |run| run.0),
        Signal::Cancel(runs) => with_ids("cancel", runs, |run| run.0),
        Signal::Revoked(tokens) => with_ids("revoked", tokens, |token| token.0),
        Signal::People(names) => {
            names.chunks(NAMES_MAX).map(|names| names.iter().fold("people".to_owned(), |text, name| format!("{text} {name}"))).collect()
        }
        Signal::Members(workspaces) => with_ids("members", workspaces, |workspace| workspace.0),
        Signal::Triggers(workspaces) => with_ids("triggers", workspaces, |workspace| workspace.0),
        Signal::Beat { of, number } => vec![format!("beat {} {number}", of.0.simple())],
    }
}

fn with_ids<I>(word: &str, ids: &[I], uuid: impl Fn(&I) -> Uuid) -> Vec<String> {
    ids.chunks(IDS_MAX).map(|ids| ids.iter().fold(word.to_owned(), |text, id| format!("{text} {}", uuid(id).simple()))).collect()
}

/// None for what a later release says.
fn read(payload: &str) -> Option<Signal> {
    let mut words = payload.split(' ');
    let word = words.next()?;
    match word {
        "people" => return words.map(|name| name.parse::<Name>().ok()).collect::<Option<Vec<_>>>().map(Signal::People),
        "beat" => {
            let (of, number) = (ListenerId(Uuid::parse_str(words.next()?).ok()?), words.next()?.parse().ok()?);
            return Some(Signal::Beat { of, number });
        }
        _ => {}
    }
    let ids = words.map(|id| Uuid::parse_str(id).ok()).collect::<Option<Vec<_>>>();
    let runs = |ids: Vec<Uuid>| ids.into_iter().map(RunId).collect::<Vec<_>>();
    match word {
        "ready" => Some(Signal::Ready),
        "ended" => ids.map(runs).map(Signal::Ended),
        "logged" => ids.map(runs).map(Signal::Logged),
        "cancel" => ids.map(runs).map(Signal::Cancel),
        "revoked" => ids.map(|ids| Signal::Revoked(ids.into_iter().map(TokenId).collect())),
        "triggers" => ids.map(|ids| Signal::Triggers(ids.into_iter().map(WorkspaceId).collect())),
        "members" => ids.map(|ids| Signal::Members(ids.into_iter().map(WorkspaceId).collect())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use sandmill_model::Timestamp;

    use super::*;

    #[test]
    fn signals_are_read_back() {
        let runs: Vec<RunId> = (0..450).map(|n| RunId::new(Timestamp::from_micros(n))).collect();
        let sent = payloads(&Signal::Ended(runs.clone()));
        assert!(sent.len() == 3 && sent.iter().all(|payload| payload.len() < 8000));
        let read_back: Vec<RunId> = sent
            .iter()
            .flat_map(|payload| match read(payload) {
                Some(Signal::Ended(runs)) => runs,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(read_back, runs);
        assert_eq!(read(&payloads(&Signal::Ready)[0]), Some(Signal::Ready));
        for signal in [Signal::Cancel(runs[..2].to_vec()), Signal::Logged(runs[..2].to_vec())] {
            assert_eq!(read(&payloads(&signal)[0]), Some(signal));
        }
        let revoked = Signal::Revoked(vec![TokenId::new(Timestamp::from_micros(1))]);
        assert_eq!(read(&payloads(&revoked)[0]), Some(revoked));
        let now = Timestamp::from_micros(1);
        let names: Vec<Name> = (0..150).map(|n| format!("{n:x<64}").parse().unwrap()).collect();
        let people = payloads(&Signal::People(names.clone()));
        assert!(people.len() == 2 && people.iter().all(|payload| payload.len() < 8000));
        assert_eq!(read(&people[1]), Some(Signal::People(names[NAMES_MAX..].to_vec())));
        for signal in [Signal::Members(vec![WorkspaceId::new(now)]), Signal::Beat { of: ListenerId::new(now), number: u64::MAX }] {
            assert_eq!(read(&payloads(&signal)[0]), Some(signal));
        }
        assert_eq!((read("people ../x"), read("beat x 1"), read("beat")), (None, None, None));
        assert_eq!(read("ended x"), None);
        assert_eq!(read("later 1"), None);
    }
}
