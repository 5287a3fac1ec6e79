//! Group commit: operations that arrive while a transaction is being written share the next one, and each caller is answered after its
//! commit. Enqueues, completions and appended runs are merged into one statement for all rows of a kind.
//!
//! A failure is not shared: the transaction is rolled back and each operation is tried again alone.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use sandmill_model::{
    BoxFuture, RunId, RunStatus, Timestamp, WorkspaceId,
    run::{FinishedRun, NewRun},
};
use sqlx::{Connection, PgPool, SqliteConnection};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    db::Work,
    dead_letters, deliveries,
    dialect::{self, Conn},
    finished, keys, queue, queued, removal,
    turns::Turns,
    usage::{self, Tally},
    value::{RunKey, run_key, values},
};
use crate::{
    StoreError,
    nodes::Incarnation,
    queue::{Completion, Enqueued, Logged},
    triggers::{DeliveryAnswer, TriggerDelivery},
};

/// Operations in one transaction.
const COMMANDS_MAX: usize = 256;
/// Operations that wait for their transaction; then callers wait.
const WAITING_MAX: usize = 1024;

/// Tries of a transaction that deadlocks with others. The database ends one of two, so each time somebody gets on.
pub(super) const CONTENDED_TRIES_MAX: u32 = 5;

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

enum Command {
    Enqueue {
        runs: Vec<NewRun>,
        /// Who has those that wait for nothing.
        lease: Option<Incarnation>,
        reply: Reply<Vec<Enqueued>>,
    },
    Append(Vec<FinishedRun>, Reply<()>),
    Complete {
        lease: Incarnation,
        runs: Vec<Completion>,
        reply: Reply<Vec<RunId>>,
    },
    Deliver(Box<TriggerDelivery>, Turns, Reply<DeliveryAnswer>),
    Call(Box<dyn Operation>, Turns),
}

/// Any other operation, with its types hidden.
trait Operation: Send {
    /// Runs it and keeps its answer; may be called again after a failure.
    fn run<'c>(&'c mut self, conn: Conn<'c>) -> BoxFuture<'c, Result<(), StoreError>>;
    /// Gives the answer that was kept, now that it is committed, or the failure.
    fn answer(self: Box<Self>, result: Result<(), StoreError>);
}

struct Call<D, T> {
    data: D,
    work: Work<D, T>,
    kept: Option<T>,
    reply: Reply<T>,
}

impl<D: Send + Sync, T: Send> Operation for Call<D, T> {
    fn run<'c>(&'c mut self, conn: Conn<'c>) -> BoxFuture<'c, Result<(), StoreError>> {
        Box::pin(async {
            self.kept = Some((self.work)(&self.data, conn).await?);
            Ok(())
        })
    }

    fn answer(self: Box<Self>, result: Result<(), StoreError>) {
        let Call { kept, reply, .. } = *self;
        // A caller that has gone away needs no answer.
        let _ = reply.send(result.and_then(|()| kept.ok_or_else(|| StoreError::Other("an operation that was not run".to_owned()))));
    }
}

/// What a transaction did for the commands that were merged.
#[derive(Default)]
struct Done {
    /// For each run that was to be enqueued, in order.
    enqueued: std::vec::IntoIter<Enqueued>,
    /// For each delivery, in order.
    delivered: std::vec::IntoIter<DeliveryAnswer>,
    /// Runs whose completion counted.
    moved: HashSet<RunKey>,
}

impl Command {
    fn answer(self, result: Result<&mut Done, StoreError>) {
        match self {
            Self::Enqueue { runs, reply, .. } => drop(reply.send(result.map(|done| done.enqueued.by_ref().take(runs.len()).collect()))),
            Self::Append(_, reply) => drop(reply.send(result.map(drop))),
            Self::Complete { runs, reply, .. } => drop(reply.send(result.map(|all| {
                let ids = runs.iter().map(|each| &each.done.run).filter(|run| all.moved.remove(&run_key(run.workspace, run.id)));
                ids.map(|run| run.id).collect()
            }))),
            Self::Deliver(_, _, reply) => {
                let unanswered = || StoreError::Other("a delivery without an answer".to_owned());
                let _ = reply.send(result.and_then(|done| done.delivered.next().ok_or_else(unanswered)));
            }
            Self::Call(operation, _) => operation.answer(result.map(drop)),
        }
    }
}

/// Where a lane's transactions come from.
pub(super) enum Source {
    Sqlite(SqliteConnection),
    /// With the rows that are its own where several count the same.
    Postgres(PgPool, i64),
}

pub(super) struct Writer {
    commands: mpsc::Sender<Command>,
    /// Held while a lane writes. Whoever holds it writes without a lane, and must not wait for anything meanwhile.
    gate: Arc<Mutex<()>>,
    lanes: TaskTracker,
    stop: CancellationToken,
}

impl Writer {
    /// Starts a lane for each source; a lane writes one transaction at a time.
    pub(super) fn start(sources: Vec<Source>) -> Self {
        let (commands, receiver) = mpsc::channel(WAITING_MAX);
        let (receiver, gate) = (Arc::new(Mutex::new(receiver)), Arc::new(Mutex::new(())));
        let is_only = sources.len() == 1;
        let (lanes, stop) = (TaskTracker::new(), CancellationToken::new());
        for source in sources {
            // Several lanes need not wait for each other.
            let gate = if is_only { Arc::clone(&gate) } else { Arc::default() };
            lanes.spawn(lane(source, Arc::clone(&receiver), gate, stop.clone()));
        }
        lanes.close();
        Self { commands, gate, lanes, stop }
    }

    pub(super) async fn enqueue(&self, runs: Vec<NewRun>, lease: Option<Incarnation>) -> Result<Vec<Enqueued>, StoreError> {
        self.send(|reply| Command::Enqueue { runs, lease, reply }).await
    }

    pub(super) async fn append(&self, runs: Vec<FinishedRun>) -> Result<(), StoreError> {
        self.send(|reply| Command::Append(runs, reply)).await
    }

    pub(super) async fn complete(&self, lease: Incarnation, runs: Vec<Completion>) -> Result<Vec<RunId>, StoreError> {
        self.send(|reply| Command::Complete { lease, runs, reply }).await
    }

    /// `turns`: for all that the delivery may need.
    pub(super) async fn deliver(&self, delivery: TriggerDelivery, turns: Turns) -> Result<DeliveryAnswer, StoreError> {
        self.send(|reply| Command::Deliver(Box::new(delivery), turns, reply)).await
    }

    pub(super) async fn call<D, T>(&self, data: D, turns: Turns, work: Work<D, T>) -> Result<T, StoreError>
    where
        D: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.send(|reply| Command::Call(Box::new(Call { data, work, kept: None, reply }), turns)).await
    }

    /// Does `work`, which must be a matter of microseconds, while the only lane does not write; none if it does.
    pub(super) fn between<T>(&self, work: impl FnOnce() -> Option<T>) -> Option<T> {
        let _gate = self.gate.try_lock().ok()?;
        work()
    }

    async fn send<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".to_owned());
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Takes nothing more, and returns once all that was taken is written.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        self.lanes.wait().await;
    }
}

async fn lane(mut source: Source, receiver: Arc<Mutex<mpsc::Receiver<Command>>>, gate: Arc<Mutex<()>>, stop: CancellationToken) {
    let mut commands = Vec::with_capacity(COMMANDS_MAX);
    loop {
        {
            let mut receiver = receiver.lock().await;
            let taken = tokio::select! {
                biased;
                taken = receiver.recv_many(&mut commands, COMMANDS_MAX) => taken,
                () = stop.cancelled() => {
                    receiver.close();
                    receiver.recv_many(&mut commands, COMMANDS_MAX).await
                }
            };
            if taken == 0 {
                break;
            }
        }
        let writing = gate.lock().await;
        write(&mut source, &mut commands).await;
        drop(writing);
    }
    if let Source::Sqlite(conn) = source
        && let Err(error) = conn.close().await
    {
        tracing::warn!(%error, "the database was not closed cleanly");
    }
}

/// Writes a batch and answers everyone.
async fn write(source: &mut Source, commands: &mut Vec<Command>) {
    match source.transact_patiently(commands).await {
        Ok(mut done) => commands.drain(..).for_each(|command| command.answer(Ok(&mut done))),
        Err(StoreError::Unavailable(why)) => {
            commands.drain(..).for_each(|command| command.answer(Err(StoreError::Unavailable(why.clone()))));
        }
        Err(error) if commands.len() == 1 => {
            commands.drain(..).take(1).zip([error]).for_each(|(command, error)| command.answer(Err(error)))
        }
        Err(_) => {
            for mut command in commands.drain(..) {
                match source.transact_patiently(std::slice::from_mut(&mut command)).await {
                    Ok(mut done) => command.answer(Ok(&mut done)),
                    Err(error) => command.answer(Err(error)),
                }
            }
        }
    }
}

impl Source {
    /// As [`Source::transact`], and again where another transaction was in the way.
    async fn transact_patiently(&mut self, commands: &mut [Command]) -> Result<Done, StoreError> {
        for _ in 1..CONTENDED_TRIES_MAX {
            match self.transact(commands).await {
                Err(StoreError::Contended(why)) => tracing::debug!(why, "two transactions were in each other's way"),
                done => return done,
            }
        }
        self.transact(commands).await
    }

    /// Runs all commands in one transaction.
    async fn transact(&mut self, commands: &mut [Command]) -> Result<Done, StoreError> {
        match self {
            Self::Sqlite(conn) => {
                let mut conn = Conn::Sqlite(conn);
                begin(&mut conn).await?;
                let written = async {
                    let moved = apply(&mut conn, commands, usage::ALONE).await?;
                    conn.execute("COMMIT", values![]).await?;
                    Ok(moved)
                };
                let written = written.await;
                if written.is_err() {
                    // SQLite may have rolled back by itself, as it does when the disk is full; then this has nothing to do.
                    let _ = conn.execute("ROLLBACK", values![]).await;
                }
                written
            }
            Self::Postgres(pool, part) => {
                let mut transaction = pool.begin().await.map_err(dialect::error)?;
                let moved = apply(&mut Conn::Postgres(&mut transaction), commands, *part).await?;
                transaction.commit().await.map_err(dialect::error)?;
                Ok(moved)
            }
        }
    }
}

async fn begin(conn: &mut Conn<'_>) -> Result<(), StoreError> {
    // At once, because a transaction that reads before it writes could not wait for another process's lock.
    if conn.execute("BEGIN IMMEDIATE", values![]).await.is_ok() {
        return Ok(());
    }
    let _ = conn.execute("ROLLBACK", values![]).await;
    conn.execute("BEGIN IMMEDIATE", values![]).await.map(drop)
}

/// `part`: of counters, the one that nobody else writes at the same time.
async fn apply(conn: &mut Conn<'_>, commands: &mut [Command], part: i64) -> Result<Done, StoreError> {
    turns(commands).wait(conn).await?;
    let (mut enqueued, mut appended, mut deliveries) = (Vec::new(), Vec::new(), Vec::new());
    let mut completed: Vec<(Incarnation, Completed<'_>)> = Vec::new();
    for command in commands.iter() {
        match command {
            Command::Enqueue { runs, lease, .. } => enqueued.extend(runs.iter().map(|run| (run, *lease))),
            Command::Append(runs, _) => appended.extend(runs.iter().map(|done| (done, Logged::default()))),
            Command::Complete { lease, runs, .. } => {
                let index = completed.iter().position(|(of, _)| of == lease).unwrap_or_else(|| {
                    completed.push((*lease, Completed::default()));
                    completed.len() - 1
                });
                completed[index].1.add(runs);
            }
            Command::Deliver(delivery, ..) => deliveries.push(&**delivery),
            Command::Call(..) => {}
        }
    }
    // First, for it locks seats.
    let delivered = deliveries::write(conn, &deliveries, part).await?.into_iter();
    // A run of the fast lane may end after its workspace: what is written of it would be there for ever.
    let of: BTreeSet<WorkspaceId> = appended.iter().map(|(done, _): &(&FinishedRun, Logged)| done.run.workspace).collect();
    let gone = removal::gone(conn, of).await?;
    if !gone.is_empty() {
        appended.retain(|(done, _)| !gone.contains(&done.run.workspace));
    }
    let enqueued = queued::enqueue(conn, &enqueued).await?.into_iter();
    let mut done = Done { enqueued, delivered, moved: HashSet::new() };
    let mut holders = Vec::new();
    let mut tally = Tally::default();
    let (mut failed, mut handlers) = (Vec::new(), Vec::new());
    for (lease, Completed { ended, again }) in completed {
        let all: Vec<&FinishedRun> = ended.iter().map(|completion| &completion.done).collect();
        let taken = queue::take_ended(conn, lease, &all).await?;
        for completion in ended.into_iter().filter(|each| taken.runs.contains(&run_key(each.done.run.workspace, each.done.run.id))) {
            appended.push((&completion.done, completion.logged));
            if completion.done.status() == RunStatus::Failed {
                failed.push(&completion.done);
            }
            handlers.extend(completion.handler.as_deref());
        }
        done.moved.extend(taken.runs);
        holders.extend(taken.holders);
        let tried: HashSet<RunKey> = queue::try_again(conn, lease, &again).await?.into_iter().collect();
        let has_moved = |each: &FinishedRun| tried.contains(&run_key(each.run.workspace, each.run.id));
        again.iter().filter(|(each, _, _)| has_moved(each)).for_each(|(each, _, _)| tally.tried(each));
        done.moved.extend(tried);
    }
    finished::insert(conn, &appended).await?;
    appended.iter().for_each(|(each, _)| tally.ended(each));
    tally.write(conn, part).await?;
    dead_letters::insert(conn, &failed).await?;
    queued::enqueue(conn, &handlers.into_iter().map(|run| (run, None)).collect::<Vec<_>>()).await?;
    // Last, because what is handed on here was not ready before.
    if let Some(now) = appended.iter().map(|(done, _)| done.ended_at).max() {
        keys::release(conn, holders, now).await?;
    }
    // What takes no turn comes last: it may lock what others are about to end, which should not wait for all the rest.
    for has_turn in [true, false] {
        for command in commands.iter_mut() {
            if let Command::Call(operation, turns) = command
                && turns.is_empty() != has_turn
            {
                operation.run(conn.reborrow()).await?;
            }
        }
    }
    Ok(done)
}

/// What commands will need of what is locked by key.
fn turns(commands: &[Command]) -> Turns {
    let mut turns = Turns::default();
    for command in commands {
        match command {
            Command::Enqueue { runs, .. } => runs.iter().for_each(|run| turns.accepts(run)),
            Command::Complete { runs, .. } => {
                for completion in runs.iter().filter(|completion| completion.again_at.is_none()) {
                    turns.ends(&completion.done.run);
                    if let Some(handler) = &completion.handler {
                        turns.accepts(handler);
                    }
                }
            }
            Command::Deliver(_, own, _) | Command::Call(_, own) => turns.join(own),
            Command::Append(..) => {}
        }
    }
    turns
}

/// Completions of one lease.
#[derive(Default)]
struct Completed<'a> {
    ended: Vec<&'a Completion>,
    again: Vec<(&'a FinishedRun, Logged, Timestamp)>,
}

impl<'a> Completed<'a> {
    fn add(&mut self, runs: &'a [Completion]) {
        for completion in runs {
            match completion.again_at {
                None => self.ended.push(completion),
                Some(at) => self.again.push((&completion.done, completion.logged, at)),
            }
        }
    }
}
