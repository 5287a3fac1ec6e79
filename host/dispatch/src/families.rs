//! Starts of children that are under way: a parent may be cut short in their midst, and then nothing of it is to be left behind.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sandmill_model::RunId;

use crate::Inner;

/// Runs that are starting others at this moment.
#[derive(Default)]
pub(crate) struct Families(Mutex<HashMap<RunId, Family>>);

#[derive(Default)]
struct Family {
    starting: usize,
    is_cut_short: bool,
}

impl Families {
    fn known(&self) -> MutexGuard<'_, HashMap<RunId, Family>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parent was cut short: what it is starting is to end, too.
    pub(crate) fn end(&self, parent: RunId) {
        if let Some(family) = self.known().get_mut(&parent) {
            family.is_cut_short = true;
        }
    }
}

/// One start that is under way.
pub(crate) struct Starting {
    inner: Arc<Inner>,
    parent: RunId,
}

impl Starting {
    pub(crate) fn of(inner: &Arc<Inner>, parent: RunId) -> Self {
        inner.families.known().entry(parent).or_default().starting += 1;
        Self { inner: Arc::clone(inner), parent }
    }

    pub(crate) fn is_too_late(&self) -> bool {
        self.inner.families.known().get(&self.parent).is_some_and(|family| family.is_cut_short)
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        let mut known = self.inner.families.known();
        if let Some(family) = known.get_mut(&self.parent) {
            family.starting -= 1;
            if family.starting == 0 {
                known.remove(&self.parent);
            }
        }
    }
}
