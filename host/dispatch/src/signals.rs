//! What this node tells the others, and hears from them.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::StreamExt;
use sandmill_model::{RunId, TokenId, WorkspaceId, people::Name};
use sandmill_store::signals::Signal;
use tokio_util::sync::CancellationToken;

use crate::Inner;

/// How often runs that somebody here waits for are looked up although nobody said that they ended: a signal may be lost.
const NET: Duration = Duration::from_secs(1);
/// Runs that are looked up at once.
const LOOKED_UP_MAX: usize = 500;
/// How long to wait before listening again after the connection broke.
const LISTEN_PAUSE: Duration = Duration::from_millis(500);
/// Signals go out at most this often: one tells of all that happened since the last.
const TELL_INTERVAL: Duration = Duration::from_millis(2);
/// Ended runs that wait to be told of. Past it, those who wait find out by themselves.
const ENDED_MAX: usize = 10_000;
/// Runs with more in their logs that wait to be told of. Past it, those who follow find out by themselves.
const LOGGED_MAX: usize = 10_000;
/// Cancels that wait to be told of. Past it, nodes learn of them at their next sign of life.
const CANCELLED_MAX: usize = 1_000;
/// Revoked tokens that wait to be told of. Past it, nodes learn of them when they look them up again.
const REVOKED_MAX: usize = 1_000;
/// Users, and workspaces, that changed and wait to be told of. Past it, nodes learn of them when they look them up again.
const CHANGED_MAX: usize = 1_000;

/// What is to be told.
#[derive(Default)]
pub(crate) struct Outbox {
    poke: tokio::sync::Notify,
    to_tell: Mutex<ToTell>,
}

impl Outbox {
    fn to_tell(&self) -> MutexGuard<'_, ToTell> {
        self.to_tell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct ToTell {
    ready: bool,
    ended: Vec<RunId>,
    logged: Vec<RunId>,
    cancelled: Vec<RunId>,
    revoked: Vec<TokenId>,
    people: Vec<Name>,
    members: Vec<WorkspaceId>,
    triggers: Vec<WorkspaceId>,
}

fn add_one<T: PartialEq>(all: &mut Vec<T>, one: T) {
    if all.len() < CHANGED_MAX && !all.contains(&one) {
        all.push(one);
    }
}

impl Inner {
    /// Runs became ready that this node may take, before what is accepted from now on.
    pub(crate) fn look_for_ready(&self) {
        self.ahead.arrived();
        self.ready.notify_one();
    }

    /// Runs became ready that another node may take.
    pub(crate) fn tell_ready(&self) {
        self.tell(|to_tell| to_tell.ready = true);
    }

    /// Runs ended for which somebody may wait on another node.
    pub(crate) fn tell_ended(&self, runs: impl IntoIterator<Item = RunId>) {
        self.tell(|to_tell| to_tell.ended.extend(runs.into_iter().take(ENDED_MAX.saturating_sub(to_tell.ended.len()))));
    }

    /// More of the logs of these runs is written, which somebody may follow on another node.
    pub(crate) fn tell_logged(&self, runs: Vec<RunId>) {
        self.tell(|to_tell| to_tell.logged.extend(runs.into_iter().take(LOGGED_MAX.saturating_sub(to_tell.logged.len()))));
    }

    /// A run that another node executes is to end. Should this be lost, that node learns it at its next sign of life.
    pub(crate) fn tell_cancel(&self, run: RunId) {
        self.tell(|to_tell| {
            if to_tell.cancelled.len() < CANCELLED_MAX {
                to_tell.cancelled.push(run);
            }
        });
    }

    /// These tokens were revoked here. Should this be lost, the others learn it when they look them up again.
    pub(crate) fn tell_revoked(&self, tokens: Vec<TokenId>) {
        self.tell(|to_tell| to_tell.revoked.extend(tokens.into_iter().take(REVOKED_MAX.saturating_sub(to_tell.revoked.len()))));
    }

    /// These users changed here, or sessions of theirs ended. Should this be lost, the others learn it when they look them up again.
    pub(crate) fn tell_people(&self, users: Vec<Name>) {
        self.users_acting.outdate_people(&users);
        self.tell(|to_tell| users.into_iter().for_each(|user| add_one(&mut to_tell.people, user)));
    }

    /// A workspace changed here, or who may do what in it; the same holds.
    pub(crate) fn tell_members(&self, workspace: WorkspaceId) {
        self.users_acting.outdate_members(&[workspace]);
        self.triggers_changed(&[workspace]);
        self.tell(|to_tell| add_one(&mut to_tell.members, workspace));
    }

    /// Triggers of a workspace changed here, or what they refer to. Should this be lost, the others learn it when they look them up again.
    pub(crate) fn tell_triggers(&self, workspace: WorkspaceId) {
        self.tell(|to_tell| add_one(&mut to_tell.triggers, workspace));
    }

    fn tell(&self, add: impl FnOnce(&mut ToTell)) {
        if self.store.signals.reach_others() {
            add(&mut self.outbox.to_tell());
            self.outbox.poke.notify_one();
        }
    }

    /// Sends what is to be told, until `stop`.
    pub(crate) async fn tell_others(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = self.outbox.poke.notified() => {}
                () = stop.cancelled() => return,
            }
            let ToTell { ready, ended, logged, cancelled, revoked, people, members, triggers } =
                std::mem::take(&mut *self.outbox.to_tell());
            if !revoked.is_empty() {
                self.send(Signal::Revoked(revoked)).await;
            }
            if !people.is_empty() {
                self.send(Signal::People(people)).await;
            }
            if !members.is_empty() {
                self.send(Signal::Members(members)).await;
            }
            if !triggers.is_empty() {
                self.send(Signal::Triggers(triggers)).await;
            }
            if !cancelled.is_empty() {
                self.send(Signal::Cancel(cancelled)).await;
            }
            if ready {
                self.send(Signal::Ready).await;
            }
            if !ended.is_empty() {
                self.send(Signal::Ended(ended)).await;
            }
            if !logged.is_empty() {
                self.send(Signal::Logged(logged)).await;
            }
            tokio::time::sleep(TELL_INTERVAL).await;
        }
    }

    pub(crate) async fn send(&self, signal: Signal) {
        if let Err(error) = self.store.signals.send(signal).await {
            tracing::debug!(%error, "the other nodes could not be told; they find out by themselves");
        }
    }

    /// Hears what others tell, until `stop`.
    pub(crate) async fn hear_others(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let mut heard = match self.store.signals.listen().await {
                Ok(heard) => heard,
                Err(error) => {
                    tracing::warn!(%error, "other nodes cannot be heard; trying again");
                    tokio::time::sleep(LISTEN_PAUSE).await;
                    continue;
                }
            };
            self.hearing.begin();
            loop {
                tokio::select! {
                    signal = heard.next() => match signal {
                        Some(Ok(Signal::Ready)) => self.look_for_ready(),
                        Some(Ok(Signal::Ended(runs))) => {
                            self.followers.wake(&runs);
                            // Beside what is heard next: it may be a cancel.
                            let inner = Arc::clone(&self);
                            self.tasks.spawn(async move { inner.look_up(runs).await });
                        }
                        Some(Ok(Signal::Logged(runs))) => self.followers.wake(&runs),
                        Some(Ok(Signal::Cancel(runs))) => runs.into_iter().for_each(|run| self.end_here_or_soon(run)),
                        Some(Ok(Signal::Beat { of, number })) => self.hearing.hear(of, number),
                        Some(Ok(signal @ (Signal::Revoked(_) | Signal::People(_) | Signal::Members(_)))) => {
                            self.users_acting.hear(&signal);
                            if let Signal::Members(workspaces) = &signal {
                                self.triggers_changed(workspaces);
                            }
                            if let Some(hear) = self.on_outdated.get() {
                                hear(&signal);
                            }
                        }
                        Some(Ok(Signal::Triggers(workspaces))) => self.triggers_changed(&workspaces),
                        Some(Err(_)) | None => break,
                    },
                    () = stop.cancelled() => return self.hearing.end(),
                }
            }
            self.hearing.end();
            // Whatever was said in between is lost.
            self.look_for_ready();
        }
    }

    /// Looks now and then for the ends of runs that somebody here waits for, until `stop`.
    pub(crate) async fn look_for_ends(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(NET) => {}
                () = stop.cancelled() => return,
            }
            for runs in self.waiters.waiting().chunks(LOOKED_UP_MAX) {
                let keys = self.waiters.of(runs.to_vec()).into_iter().map(|(run, workspace)| (workspace, run)).collect();
                match self.store.history.ended(keys).await {
                    Ok(ended) => self.look_up(ended).await,
                    Err(error) => tracing::debug!(%error, "runs that are waited for could not be looked up"),
                }
            }
        }
    }

    /// Wakes those who wait here for runs that ended elsewhere.
    async fn look_up(&self, runs: Vec<RunId>) {
        for (run, workspace) in self.waiters.of(runs) {
            if self.live.belongs_to(run, workspace) {
                continue;
            }
            match self.store.history.run(workspace, run).await {
                Ok(Some(record)) if record.summary.status.has_ended() => match self.outcome_of(workspace, record).await {
                    Ok(outcome) => {
                        self.waiters.wake(workspace, run, Arc::new(outcome));
                    }
                    Err(refusal) => self.waiters.refuse(workspace, run, refusal),
                },
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "a run that is waited for could not be read"),
            }
        }
    }
}
