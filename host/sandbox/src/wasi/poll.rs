//! `wasi:io/poll`: wasmtime-wasi's, after a look at how long the run's turn has lasted.

use wasmtime::{
    Result,
    component::{Resource, ResourceTable},
};
use wasmtime_wasi_io::{bindings::wasi::io::poll, poll::DynPollable};

use crate::{guest::Core, stop::Stop};

/// Pollables of one call; a guest has fewer handles.
const POLLABLES_MAX: usize = 4_096;

impl poll::Host for Core {
    async fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
        if pollables.len() > POLLABLES_MAX {
            return Err(Stop::Misuse(format!("the script polls {} handles at once; the limit is {POLLABLES_MAX}", pollables.len())).into());
        }
        self.pace().await;
        <ResourceTable as poll::Host>::poll(&mut self.table, pollables).await
    }
}

impl poll::HostPollable for Core {
    async fn ready(&mut self, pollable: Resource<DynPollable>) -> Result<bool> {
        self.pace().await;
        <ResourceTable as poll::HostPollable>::ready(&mut self.table, pollable).await
    }

    async fn block(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        self.pace().await;
        <ResourceTable as poll::HostPollable>::block(&mut self.table, pollable).await
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        <ResourceTable as poll::HostPollable>::drop(&mut self.table, pollable)
    }
}
