//! Memory and tables of one run: held to its own limit, charged to the budgets that it shares with others.

use wasmtime::{ResourceLimiterAsync, Result};
use wasmtime_wasi::async_trait;

use crate::{admission::Accounts, stop::Stop};

/// What a table's element takes.
const TABLE_ELEMENT_BYTES: u64 = 8;

pub(crate) struct Limiter {
    accounts: Accounts,
    limit_bytes: u64,
    used_bytes: u64,
    peak_bytes: u64,
    /// The last growth, to be taken back if the engine then fails to carry it out.
    last_bytes: u64,
}

/// Memory that the host has for a run, counted among that of all runs.
pub(crate) struct Held {
    accounts: Accounts,
    bytes: u64,
}

impl Held {
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.accounts.discharge(self.bytes);
    }
}

impl Limiter {
    pub(crate) fn new(accounts: Accounts, limit_bytes: u64) -> Self {
        Self { accounts, limit_bytes, used_bytes: 0, peak_bytes: 0, last_bytes: 0 }
    }

    pub(crate) fn peak_bytes(&self) -> u64 {
        self.peak_bytes
    }

    /// Counts what the host holds for the run against its limit, as memory of its own.
    pub(crate) async fn charge(&mut self, bytes: u64) -> Result<()> {
        self.grow(bytes).await?;
        self.last_bytes = 0;
        Ok(())
    }

    /// Bytes that were charged, as a value of their own: they stay counted until it is dropped, whatever becomes of the run.
    pub(crate) fn hand_over(&mut self, bytes: u64) -> Held {
        self.used_bytes -= bytes;
        Held { accounts: self.accounts.clone(), bytes }
    }

    /// They are the run's again.
    pub(crate) fn take_over(&mut self, mut held: Held) {
        self.used_bytes += std::mem::take(&mut held.bytes);
    }

    /// Bytes that the run may still take.
    pub(crate) const fn room(&self) -> u64 {
        self.limit_bytes - self.used_bytes
    }

    /// What was charged is no longer held.
    pub(crate) fn discharge(&mut self, bytes: u64) {
        self.used_bytes -= bytes;
        self.accounts.discharge(bytes);
    }

    async fn grow(&mut self, bytes: u64) -> Result<()> {
        let used_bytes = self.used_bytes.saturating_add(bytes);
        if used_bytes > self.limit_bytes {
            self.peak_bytes = self.limit_bytes;
            return Err(Stop::OutOfMemory { limit_bytes: self.limit_bytes }.into());
        }
        self.accounts.charge(bytes).await.map_err(|full| Stop::HostFault(full.to_string()))?;
        self.used_bytes = used_bytes;
        self.peak_bytes = self.peak_bytes.max(used_bytes);
        self.last_bytes = bytes;
        Ok(())
    }

    fn take_back(&mut self) {
        let bytes = std::mem::take(&mut self.last_bytes);
        self.used_bytes -= bytes;
        self.accounts.discharge(bytes);
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        self.accounts.discharge(self.used_bytes);
    }
}

#[async_trait]
impl ResourceLimiterAsync for Limiter {
    async fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current) as u64).await?;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> Result<()> {
        self.take_back();
        Ok(())
    }

    async fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow((desired.saturating_sub(current) as u64).saturating_mul(TABLE_ELEMENT_BYTES)).await?;
        Ok(true)
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> Result<()> {
        self.take_back();
        Ok(())
    }
}
