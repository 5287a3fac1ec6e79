//! What workspaces keep is measured now and then: from it bills are made.

use std::{
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    time::Duration,
};

use sandmill_model::{Timestamp, WorkspaceId};
use tokio_util::sync::CancellationToken;

use super::{Instant, PAUSE_MAX, SIGN, Service};
use crate::{
    StoreError,
    usage::day_of,
    workspaces::{Status, Workspace},
};

/// Signs that a node gives while it lists the objects of one workspace: five minutes.
const LISTING_SIGNS_MAX: u32 = 30;
/// Time that one look spends on listing objects, beside the last listing; those that are not listed by then have other hours.
const LISTINGS_LIMIT: Duration = Duration::from_secs(300);
const HOUR_MICROS: i64 = 3600 * 1_000_000;

impl Service {
    pub(super) async fn sample(&self, workspaces: &[Workspace], shutdown: &CancellationToken) -> Result<(), StoreError> {
        if !self.hold().await? {
            return Ok(());
        }
        let (mut signed, mut spent) = (Instant::now(), Duration::ZERO);
        for workspace in in_turn(workspaces, self.clock.now()) {
            let began = Instant::now();
            if began.duration_since(signed) >= SIGN {
                if !self.hold().await? {
                    return Ok(());
                }
                signed = began;
            }
            let now = self.clock.now();
            if self.store.usage.sample(workspace.id, now).await? {
                if spent < LISTINGS_LIMIT {
                    let listing = Instant::now();
                    self.sample_objects(workspace.id, day_of(now), shutdown).await?;
                    spent += listing.elapsed();
                }
                tokio::select! {
                    () = tokio::time::sleep(began.elapsed().min(PAUSE_MAX)) => {}
                    () = shutdown.cancelled() => return Ok(()),
                }
            }
        }
        Ok(())
    }

    /// Lists the objects of a workspace, for as long as this is the node's own work. What cannot be listed in time is not known of this hour.
    async fn sample_objects(&self, workspace: WorkspaceId, day: i64, shutdown: &CancellationToken) -> Result<(), StoreError> {
        let Some(objects) = &self.objects else { return Ok(()) };
        let mut listing = objects.bytes(workspace);
        for _ in 0..LISTING_SIGNS_MAX {
            tokio::select! {
                listed = &mut listing => return match listed {
                    Ok(bytes) => self.store.usage.sample_objects(workspace, day, bytes).await,
                    Err(why) => {
                        tracing::warn!(%workspace, why, "the objects of a workspace could not be measured");
                        Ok(())
                    }
                },
                () = tokio::time::sleep(SIGN) => {}
                () = shutdown.cancelled() => return Ok(()),
            }
            if !self.hold().await? {
                return Ok(());
            }
        }
        tracing::warn!(%workspace, "the objects of a workspace are too many to be measured");
        Ok(())
    }
}

/// Those that are not being deleted, in an order that is another each hour: however long the objects of some take, those of the others come
/// before them in many hours of a day.
fn in_turn(workspaces: &[Workspace], now: Timestamp) -> Vec<&Workspace> {
    let hour = now.micros() / HOUR_MICROS;
    let mut turns: Vec<&Workspace> = workspaces.iter().filter(|workspace| workspace.status != Status::Deleting).collect();
    turns.sort_by_cached_key(|workspace| BuildHasherDefault::<DefaultHasher>::default().hash_one((workspace.id, hour)));
    turns
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::Arc};

    use super::*;

    #[test]
    fn each_workspace_is_early_in_some_hours_of_a_day() {
        let workspace = |number: usize| Workspace {
            id: format!("00000000-0000-7000-8000-{number:012}").parse().unwrap(),
            name: "a".into(),
            created_at: Timestamp::default(),
            settings: Arc::default(),
            status: if number == 0 { Status::Deleting } else { Status::Active },
            status_since: Timestamp::default(),
            allotted: Arc::default(),
        };
        let all: Vec<Workspace> = (0..9).map(workspace).collect();
        let turns = |micros: i64| in_turn(&all, Timestamp::from_micros(micros)).iter().map(|each| each.id).collect::<Vec<_>>();
        assert_eq!(turns(0).len(), 8, "without the one that is being deleted");
        assert_eq!(turns(0), turns(HOUR_MICROS - 1), "an hour long");
        // The objects of this one take all the time.
        let endless = all[1].id;
        let listed: HashSet<WorkspaceId> =
            (0..24).flat_map(|hour| turns(hour * HOUR_MICROS).into_iter().take_while(move |each| *each != endless)).collect();
        assert_eq!(listed.len(), 7, "all others come before it now and then");
    }
}
