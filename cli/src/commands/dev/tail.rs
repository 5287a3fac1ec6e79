//! What runs of the watched scripts log, as it happens.

use std::{
    collections::{BTreeSet, VecDeque},
    convert::Infallible,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use reqwest::Method;
use tokio::time::MissedTickBehavior;

use super::desk::Desk;
use crate::{
    client::{Page, Run},
    error::CliError,
};

/// Between two looks for new runs.
const LOOK: Duration = Duration::from_millis(500);
/// For one page of a list.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Runs that are followed at once.
const FOLLOWED_MAX: usize = 8;
/// Runs that wait to be followed; of more than these the log is not shown.
const WAITING_MAX: usize = 200;
/// Pages of one look, and runs on each.
const PAGES_MAX: usize = 3;
const PAGE_RUNS: usize = 100;
/// Ids that are kept to know runs again.
const SEEN_MAX: usize = 5_000;

/// A run whose log is shown.
pub(super) struct Found {
    pub(super) id: String,
    pub(super) path: String,
}

impl Found {
    /// The end: ids begin with their time, which runs have in common.
    pub(super) fn short(&self) -> &str {
        let from = self.id.len().saturating_sub(8);
        self.id.get(from..).unwrap_or(&self.id)
    }
}

pub(super) struct Tail<'a> {
    desk: &'a Desk,
    /// Runs up to this one are not shown; none until the server was asked. Ids are in the order of their times.
    floor: Option<String>,
    seen: BTreeSet<String>,
    waiting: VecDeque<Found>,
    /// The token may not read runs.
    is_over: bool,
}

impl<'a> Tail<'a> {
    /// From the runs that come after those of now.
    pub(super) async fn begin(desk: &'a Desk) -> Self {
        let mut tail = Self { desk, floor: None, seen: BTreeSet::new(), waiting: VecDeque::new(), is_over: false };
        tail.look().await;
        tail
    }

    pub(super) async fn run(mut self) -> Infallible {
        let mut following = FuturesUnordered::new();
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => self.look().await,
                Some(()) = following.next() => {}
            }
            while following.len() < FOLLOWED_MAX
                && let Some(run) = self.waiting.pop_front()
            {
                following.push(follow(self.desk, run));
            }
        }
    }

    async fn look(&mut self) {
        if self.is_over {
            return;
        }
        match self.fresh().await {
            Ok(runs) => {
                self.desk.back();
                let room = WAITING_MAX.saturating_sub(self.waiting.len());
                if runs.len() > room {
                    self.desk.note(&format!("the logs of {} runs are not shown: there are too many at once", runs.len() - room));
                }
                self.waiting.extend(runs.into_iter().take(room));
            }
            Err(error @ CliError::Unreachable(_)) => self.desk.lost(&error),
            // The server is there, and will be again.
            Err(error) if error.is_passing() => {}
            Err(error) => {
                self.desk.note("logs of runs are not shown:");
                self.desk.error(&error);
                self.is_over = true;
            }
        }
    }

    /// Runs of the watched scripts that were not seen, the oldest first.
    async fn fresh(&mut self) -> Result<Vec<Found>, CliError> {
        let Some(floor) = self.floor.clone() else {
            let newest = self.page(1, None).await?.items.into_iter().next();
            self.floor = Some(newest.map(|run| run.id).unwrap_or_default());
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        let mut cursor = None;
        for _ in 0..PAGES_MAX {
            let page = self.page(PAGE_RUNS, cursor.take()).await?;
            let mut is_known = false;
            for run in page.items {
                if run.id <= floor || !self.seen.insert(run.id.clone()) {
                    is_known = true;
                } else if self.desk.watches(&run.path) {
                    found.push(Found { id: run.id, path: run.path });
                }
            }
            cursor = page.next;
            if is_known || cursor.is_none() {
                break;
            }
        }
        while self.seen.len() > SEEN_MAX {
            self.floor = self.seen.pop_first().or(self.floor.take());
        }
        found.reverse();
        Ok(found)
    }

    /// Of one script where there is one only; else of all, for the server knows no other choice.
    async fn page(&self, runs: usize, cursor: Option<String>) -> Result<Page<Run>, CliError> {
        let mut query = vec![("limit", runs.to_string())];
        query.extend(self.desk.only_path().map(|path| ("path", path)));
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let server = self.desk.server();
        server.read(server.request(Method::GET, "runs").query(&query).timeout(ANSWER_MAX)).await
    }
}

async fn follow(desk: &Desk, run: Found) {
    match desk.server().follow(&run.id, |line| desk.log(&run, &line)).await {
        Ok(end) => match end.outcome.as_deref() {
            Some("ok" | "skipped") => {}
            outcome => desk.ended(&run, outcome.unwrap_or("unknown"), end.error.as_ref()),
        },
        Err(_) => desk.note(&format!("{} {}: its log cannot be followed any longer", run.path, run.short())),
    }
}
