//! `sandmill:variables`: text at paths, secret or not.

use sandmill_model::{BoxFuture, Grant, ScriptPath, WorkspaceId, grants::PathPattern};
use sandmill_sandbox::Guest;
use serde::{Deserialize, Serialize};
use wasmtime::Result;

use crate::{
    Host,
    bindings::variables::{Error, Host as Variables},
    grants::{deny, refusals},
};

/// A variable as the host has it, secret or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    pub text: String,
    pub is_secret: bool,
}

/// Where variables are kept.
pub trait VariablesPort: Send + Sync + 'static {
    /// None if there is none.
    ///
    /// # Errors
    /// Why it cannot be read at present.
    fn read(&self, workspace: WorkspaceId, path: ScriptPath) -> BoxFuture<'_, Result<Option<Variable>, String>>;

    /// Paths of variables that are not secret and like one of `patterns`, in order; at most `limit`.
    ///
    /// # Errors
    /// Why they cannot be read at present.
    fn plain(
        &self,
        workspace: WorkspaceId,
        patterns: Vec<PathPattern>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<(ScriptPath, String)>, String>>;
}

impl Variables for Guest<Host> {
    async fn get(&mut self, path: String) -> Result<Result<String, Error>> {
        self.pace().await;
        Ok(read(self, &path).await)
    }

    async fn placeholder(&mut self, path: String) -> Result<Result<String, Error>> {
        self.pace().await;
        Ok(placeholder(self, &path).await)
    }
}

/// The text of the variable at `path`, if the script may have it.
pub(crate) async fn read(guest: &mut Guest<Host>, path: &str) -> Result<String, Error> {
    let (path, variable) = find(guest, path).await?;
    if !variable.is_secret {
        return Ok(variable.text);
    }
    let secret = Grant::Secrets(PathPattern::from(&path));
    if !guest.host.granted().await?.covers(&secret) {
        return Err(deny(guest, &secret).into());
    }
    guest.conceal(&variable.text);
    Ok(variable.text)
}

async fn placeholder(guest: &mut Guest<Host>, path: &str) -> Result<String, Error> {
    let (path, variable) = find(guest, path).await?;
    if !variable.is_secret {
        return Err(Error::Invalid(format!("the variable {path} is not secret: read it with `get`")));
    }
    guest.conceal_whole(&variable.text);
    let made = guest.host.run.placeholders().make(&path, &variable.text);
    made.map_err(Error::Invalid)
}

/// The variable, if the script may know of it.
async fn find(guest: &mut Guest<Host>, path: &str) -> Result<(ScriptPath, Variable), Error> {
    let path: ScriptPath = path.parse().map_err(|error| Error::Invalid(format!("the path: {error}")))?;
    let granted = guest.host.granted().await?;
    let (plain, secret) = (Grant::Variables(PathPattern::from(&path)), Grant::Secrets(PathPattern::from(&path)));
    if !granted.covers(&plain) && !granted.covers(&secret) {
        // Who asks for the text of a secret needs nothing else to know of it.
        let asked = &guest.host.run.asked;
        let need = if asked.cover(&secret) && !asked.cover(&plain) { secret } else { plain };
        return Err(deny(guest, &need).into());
    }
    let found = guest.host.ports.variables.read(guest.host.run.attempt.workspace, path.clone()).await.map_err(Error::Unavailable)?;
    found.map(|variable| (path.clone(), variable)).ok_or_else(|| Error::NotFound(format!("there is no variable at {path}")))
}

refusals!(Error);
