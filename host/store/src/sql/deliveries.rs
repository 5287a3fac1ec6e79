//! What listeners and requests deliver, written together with others of the same commit. Whoever does not have its seat any more writes nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, hash_map::Entry};

use sandmill_model::{
    LogEntry, LogLevel, LogStream, Outcome, OutcomeKind, Policy, RunError, RunId, WorkspaceId,
    policy::Key,
    run::{Dedup, FinishedRun, NewRun},
    trigger::{Mode, Overlap},
};

use super::{
    dedup::{self, Repeated, Wanted},
    dialect::Conn,
    finished, kept_events, nodes, queued, state,
    turns::Turns,
    usage::Tally,
    value::values,
};
use crate::{
    StoreError,
    nodes::Incarnation,
    queue::Logged,
    triggers::{Delivered, DeliveryAnswer, ItemReceipt, KeptEvent, SeatLease, TriggerDelivery},
};

/// Runs of a trigger that have not ended and are told to whoever comes after them.
const OPEN_RUNS_MAX: u32 = 1_000;

/// Workspace and path.
type TriggerKey<'a> = (WorkspaceId, &'a str);

/// Puts the key on runs that wait for the end of others of their trigger.
pub(super) fn queue_up(delivery: &mut TriggerDelivery) {
    let name = format!("overlap {}", delivery.path);
    for item in &mut delivery.items {
        if let Delivered::Run { run, overlap: Overlap::Queue, .. } = item
            && run.policy.keys.iter().all(|key| key.name != name)
        {
            let mut policy = Policy::clone(&run.policy);
            // Whatever keeps an order comes first: what waits for its turn holds no place of those that could run.
            let ordering = policy.keys.iter().take_while(|key| key.is_ordering()).count();
            policy.keys.insert(ordering, Key { name: name.clone(), limit: 1 });
            run.policy = policy.into();
        }
    }
}

/// What a delivery may need, but for the state that it adopts.
pub(super) fn turns(delivery: &TriggerDelivery) -> Turns {
    let mut turns = Turns::default();
    for item in &delivery.items {
        match item {
            Delivered::Run { run, also, overlap, .. } => {
                turns.accepts(run);
                also.iter().for_each(|key| turns.claims(run.workspace, key));
                if matches!(overlap, Overlap::Skip | Overlap::CancelPrevious) {
                    turns.overlaps(delivery.workspace, &delivery.path);
                }
            }
            Delivered::Skipped(done) => {
                done.run.dedup.iter().for_each(|key| turns.claims(done.run.workspace, key));
            }
            Delivered::Kept(_) => {}
        }
    }
    turns
}

/// Writes deliveries; returns an answer for each. `part`: of counters, the one that nobody else writes at the same time.
pub(super) async fn write(conn: &mut Conn<'_>, deliveries: &[&TriggerDelivery], part: i64) -> Result<Vec<DeliveryAnswer>, StoreError> {
    if deliveries.is_empty() {
        return Ok(Vec::new());
    }
    let refusals = Locked::of(conn, deliveries).await?.refusals(deliveries);
    let let_in = deliveries.iter().zip(&refusals).filter(|(_, refusal)| refusal.is_none()).map(|(delivery, _)| *delivery);
    let wanted: Vec<Wanted<'_>> = let_in.flat_map(|delivery| delivery.items.iter().filter_map(wanted)).collect();
    let mut claims = dedup::claim(conn, &wanted).await?.into_iter();
    let mut batch = Batch::default();
    let mut answers = Vec::with_capacity(deliveries.len());
    for (delivery, refusal) in deliveries.iter().zip(&refusals) {
        answers.push(match refusal {
            Some(refusal) => refusal.clone(),
            None => batch.take(conn, delivery, &mut claims).await?,
        });
    }
    batch.write(conn, part).await?;
    for (delivery, answer) in deliveries.iter().zip(&answers) {
        if let DeliveryAnswer::Done { items, .. } = answer
            && !items.iter().any(|item| matches!(item, ItemReceipt::Repeats(_)))
        {
            move_on(conn, delivery).await?;
        }
    }
    Ok(answers)
}

/// The keys of an item; none if it is no run.
fn wanted(item: &Delivered) -> Option<Wanted<'_>> {
    const NONE: &[Dedup] = &[];
    match item {
        Delivered::Run { run, also, .. } => Some(Wanted { run, also }),
        Delivered::Skipped(done) => Some(Wanted { run: &done.run, also: NONE }),
        Delivered::Kept(_) => None,
    }
}

/// What goes on with the events: state, and where the listener is.
async fn move_on(conn: &mut Conn<'_>, delivery: &TriggerDelivery) -> Result<(), StoreError> {
    let TriggerDelivery { workspace, path, lease, cursor, adopts_state_of, now, .. } = delivery;
    if let Some(run) = adopts_state_of {
        state::adopt(conn, *workspace, *run, *now).await?;
    }
    if let (Some(SeatLease { number, .. }), Some(cursor)) = (lease, cursor) {
        conn.execute(
            "UPDATE seats SET cursor = $4 WHERE workspace = $1 AND path = $2 AND number = $3",
            values![*workspace, path, *number, &cursor.0],
        )
        .await?;
    }
    Ok(())
}

/// Who has a seat, and its fence.
type Held = (Option<i64>, i64);

/// What deliveries depend on. It stays so until the transaction ends.
struct Locked<'a> {
    /// Whether each takes events.
    triggers: BTreeMap<TriggerKey<'a>, bool>,
    /// Whether each may have leases.
    nodes: BTreeMap<Incarnation, bool>,
    seats: BTreeMap<(TriggerKey<'a>, u32), Option<Held>>,
}

impl<'a> Locked<'a> {
    async fn of(conn: &mut Conn<'_>, deliveries: &[&'a TriggerDelivery]) -> Result<Self, StoreError> {
        let mut locked = Self { triggers: BTreeMap::new(), nodes: BTreeMap::new(), seats: BTreeMap::new() };
        let triggers: BTreeSet<TriggerKey<'a>> = deliveries.iter().map(|delivery| key(delivery)).collect();
        let leases = || deliveries.iter().filter_map(|delivery| delivery.lease.map(|lease| (key(delivery), lease)));
        let nodes: BTreeSet<Incarnation> = leases().map(|(_, lease)| lease.node).collect();
        let seats: BTreeSet<(TriggerKey<'a>, u32)> = leases().map(|(key, lease)| (key, lease.number)).collect();
        for (workspace, path) in triggers {
            let row = conn
                .row("SELECT mode FROM triggers WHERE workspace = $1 AND path = $2 {lock present triggers}", values![workspace, path])
                .await?;
            let mode = row.map(|row| row.int(0)).transpose()?;
            locked.triggers.insert((workspace, path), mode.is_some_and(|mode| mode != Mode::Off.code()));
        }
        for node in nodes {
            locked.nodes.insert(node, nodes::is_alive(conn, node).await?);
        }
        for ((workspace, path), number) in seats {
            let row = conn
                .row(
                    "SELECT node, fence FROM seats WHERE workspace = $1 AND path = $2 AND number = $3 {lock seats}",
                    values![workspace, path, number],
                )
                .await?;
            let seat = row.map(|row| Ok::<_, StoreError>((row.opt_int(0)?, row.int(1)?))).transpose()?;
            locked.seats.insert(((workspace, path), number), seat);
        }
        Ok(locked)
    }

    /// Why each is not written; none: it is.
    fn refusals(&self, deliveries: &[&TriggerDelivery]) -> Vec<Option<DeliveryAnswer>> {
        deliveries.iter().map(|delivery| self.refusal(delivery)).collect()
    }

    fn refusal(&self, delivery: &TriggerDelivery) -> Option<DeliveryAnswer> {
        if !self.triggers.get(&key(delivery)).is_some_and(|takes_events| *takes_events) {
            return Some(DeliveryAnswer::Gone);
        }
        let SeatLease { number, node, fence } = delivery.lease?;
        let is_alive = self.nodes.get(&node).is_some_and(|is_alive| *is_alive);
        let seat = self.seats.get(&(key(delivery), number)).copied().flatten();
        (!is_alive || seat != Some((Some(node.0), fence))).then_some(DeliveryAnswer::Fenced)
    }
}

fn key(delivery: &TriggerDelivery) -> TriggerKey<'_> {
    (delivery.workspace, delivery.path.as_str())
}

/// What all deliveries of one commit write.
#[derive(Default)]
struct Batch<'a> {
    /// With whether each is held.
    runs: Vec<(&'a NewRun, bool)>,
    skipped: Vec<&'a FinishedRun>,
    /// Because of runs that have not ended.
    overlapping: Vec<FinishedRun>,
    kept: Vec<(TriggerKey<'a>, &'a KeptEvent)>,
    /// Runs of the batch, by trigger.
    accepted: HashMap<TriggerKey<'a>, Vec<RunId>>,
    /// Runs that were there before, of triggers that were asked for.
    open: HashMap<TriggerKey<'a>, Vec<RunId>>,
}

impl<'a> Batch<'a> {
    /// `claims`: of each of its items that has keys.
    async fn take(
        &mut self,
        conn: &mut Conn<'_>,
        delivery: &'a TriggerDelivery,
        claims: &mut impl Iterator<Item = Vec<Repeated>>,
    ) -> Result<DeliveryAnswer, StoreError> {
        let mut items = Vec::with_capacity(delivery.items.len());
        let mut to_cancel = BTreeSet::new();
        for item in &delivery.items {
            let repeated = match item {
                Delivered::Kept(_) => Vec::new(),
                Delivered::Run { .. } | Delivered::Skipped(_) => claims.next().unwrap_or_default(),
            };
            let receipt = match (item, repeated.first()) {
                (Delivered::Kept(event), _) => {
                    self.kept.push((key(delivery), event));
                    ItemReceipt::Kept
                }
                (Delivered::Run { also, .. }, Some(_)) if !also.is_empty() => {
                    ItemReceipt::Repeats(repeated.iter().map(|each| (each.number, each.run)).collect())
                }
                (_, Some(first)) if first.asked_the_same => ItemReceipt::Duplicate(first.run),
                (_, Some(first)) => ItemReceipt::Mismatch(first.run),
                (Delivered::Skipped(done), None) => {
                    self.skipped.push(done);
                    ItemReceipt::Kept
                }
                (Delivered::Run { run, is_held, overlap, .. }, None) => {
                    let others = self.others(conn, delivery, *overlap).await?;
                    match others.first().copied().filter(|_| *overlap == Overlap::Skip) {
                        Some(other) => {
                            self.overlapping.push(skipped(run, other, delivery));
                            ItemReceipt::Overlaps(other)
                        }
                        None => {
                            to_cancel.extend(others);
                            self.runs.push((run, *is_held));
                            self.accepted.entry(key(delivery)).or_default().push(run.id);
                            ItemReceipt::New(run.id)
                        }
                    }
                }
            };
            items.push(receipt);
        }
        Ok(DeliveryAnswer::Done { items, to_cancel: to_cancel.into_iter().collect() })
    }

    /// Runs of the trigger that have not ended, if that matters.
    async fn others(&mut self, conn: &mut Conn<'_>, delivery: &'a TriggerDelivery, overlap: Overlap) -> Result<Vec<RunId>, StoreError> {
        if matches!(overlap, Overlap::Allow | Overlap::Queue) {
            return Ok(Vec::new());
        }
        let key = key(delivery);
        if let Entry::Vacant(unknown) = self.open.entry(key) {
            let rows = conn
                .rows(
                    "SELECT id FROM queue WHERE workspace = $1 AND trigger_path = $2 ORDER BY id LIMIT $3",
                    values![key.0, key.1, OPEN_RUNS_MAX],
                )
                .await?;
            let open = rows.iter().map(|row| row.uuid(0).map(RunId)).collect::<Result<_, _>>()?;
            unknown.insert(open);
        }
        Ok([&self.open, &self.accepted].into_iter().filter_map(|runs| runs.get(&key)).flatten().copied().collect())
    }

    async fn write(self, conn: &mut Conn<'_>, part: i64) -> Result<(), StoreError> {
        queued::accept(conn, &self.runs).await?;
        let skipped: Vec<(&FinishedRun, Logged)> =
            self.skipped.iter().copied().chain(&self.overlapping).map(|done| (done, Logged::default())).collect();
        finished::insert(conn, &skipped).await?;
        let mut tally = Tally::default();
        skipped.iter().for_each(|(done, _)| tally.never_tried(done));
        tally.write(conn, part).await?;
        kept_events::insert(conn, &self.kept).await
    }
}

/// The record of a run that did not start because `other` has not ended. Its log says why, as that of others that are skipped.
fn skipped(run: &NewRun, other: RunId, delivery: &TriggerDelivery) -> FinishedRun {
    let reason = format!("run {other} of {} had not ended", delivery.path);
    let line = LogEntry { at: delivery.now, level: LogLevel::Info, stream: LogStream::Host, message: reason.clone(), fields: None };
    FinishedRun {
        run: run.clone(),
        attempt: 0,
        started_at: None,
        ended_at: delivery.now,
        outcome: Outcome { log: vec![line], ..Outcome::failed(OutcomeKind::Skipped, RunError::new("skipped", reason)) },
    }
}

#[cfg(test)]
mod tests;
