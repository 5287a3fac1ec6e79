//! `sandmill:context`: what a script may know about its own run.

use sandmill_sandbox::Guest;
use wasmtime::Result;

use crate::{
    Host,
    bindings::context::{Host as Context, Info, Trigger},
};

impl Context for Guest<Host> {
    async fn get(&mut self) -> Result<Info> {
        self.pace().await;
        let attempt = &self.host.run.attempt;
        Ok(Info {
            run_id: attempt.run.to_string(),
            script: attempt.path.to_string(),
            version: attempt.version.to_string(),
            workspace: attempt.workspace_name.to_string(),
            trigger: attempt
                .input
                .trigger()
                .map(|trigger| Trigger { kind: trigger.kind.to_string(), path: trigger.path.as_deref().map(str::to_owned) }),
            attempt: attempt.number,
            deadline_ms: u64::try_from(self.deadline().millis()).unwrap_or(0),
            run_as: attempt.run_as.to_string(),
        })
    }

    async fn payload(&mut self) -> Result<Vec<u8>> {
        self.pace().await;
        Ok(self.host.run.payload().into())
    }
}
