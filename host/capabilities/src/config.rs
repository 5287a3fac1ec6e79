//! `wasi:config/store`, for components that know nothing of us: the script's variables. A key that is no path is a name beside the script:
//! `region` of `f/demo/report` is `f/demo/region`.

use sandmill_model::{Grant, ScriptPath, grants::PathPattern};
use sandmill_sandbox::Guest;
use wasmtime::Result;

use crate::{
    Host,
    bindings::{
        config::{Error, Host as Config},
        variables::Error as VariableError,
    },
    grants::Refused,
    variables,
};

/// Values that `get-all` returns.
const ALL_MAX: usize = 1_000;

impl Config for Guest<Host> {
    async fn get(&mut self, key: String) -> Result<Result<Option<String>, Error>> {
        self.pace().await;
        let path = if key.contains('/') { key } else { beside(&self.host.run.attempt.path, &key) };
        Ok(match variables::read(self, &path).await {
            Ok(text) => Ok(Some(text)),
            Err(VariableError::NotFound(_)) => Ok(None),
            Err(VariableError::Denied(text) | VariableError::Invalid(text)) => Err(Error::Upstream(text)),
            Err(VariableError::Unavailable(text)) => Err(Error::Io(text)),
        })
    }

    /// Those that are not secret, under their paths.
    async fn get_all(&mut self) -> Result<Result<Vec<(String, String)>, Error>> {
        self.pace().await;
        let granted = match self.host.granted().await {
            Ok(granted) => granted,
            Err(Refused::Denied(text) | Refused::Unavailable(text)) => return Ok(Err(Error::Io(text))),
        };
        let patterns = granted.variables();
        if patterns.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let found = self.host.ports.variables.plain(self.host.run.attempt.workspace, patterns, ALL_MAX).await;
        let readable = |all: Vec<(ScriptPath, String)>| {
            let kept = all.into_iter().filter(|(path, _)| granted.covers(&Grant::Variables(PathPattern::from(path))));
            kept.map(|(path, text)| (path.to_string(), text)).collect::<Vec<_>>()
        };
        Ok(found.map(readable).map_err(Error::Io))
    }
}

fn beside(script: &ScriptPath, name: &str) -> String {
    let folder = script.as_str().strip_suffix(script.name()).unwrap_or_default();
    format!("{folder}{name}")
}
