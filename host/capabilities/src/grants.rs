//! Whether a script may do what it is about to do: what its manifest asks for and somebody granted, nothing else.

use std::sync::Arc;

use sandmill_model::{
    BoxFuture, Digest, Grant, ScriptPath, WorkspaceId,
    grants::{Granted, denial},
};
use sandmill_sandbox::Guest;

use crate::{Host, host::RunFacts};

/// What was granted to whom.
pub trait GrantsPort: Send + Sync + 'static {
    /// All that the version of the script at `path` was given, as it is now or was a moment ago.
    ///
    /// # Errors
    /// Why it cannot be read at present.
    fn given(&self, workspace: WorkspaceId, path: ScriptPath, version: Digest) -> BoxFuture<'_, Result<Arc<[Grant]>, String>>;
}

/// Why a script does not get what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The text names what is missing and how to give it.
    Denied(String),
    /// The call may be tried again.
    Unavailable(String),
}

/// An interface's error, which may be a denial.
pub(crate) trait MayDeny {
    /// The denial's text.
    fn denial(&self) -> Option<&str>;
}

/// An interface's error has cases for both.
macro_rules! refusals {
    ($error:ty) => {
        impl crate::grants::MayDeny for $error {
            fn denial(&self) -> Option<&str> {
                if let Self::Denied(text) = self { Some(text) } else { None }
            }
        }

        impl From<crate::grants::Refused> for $error {
            fn from(refused: crate::grants::Refused) -> Self {
                match refused {
                    crate::grants::Refused::Denied(text) => Self::Denied(text),
                    crate::grants::Refused::Unavailable(text) => Self::Unavailable(text),
                }
            }
        }
    };
}
pub(crate) use refusals;

impl RunFacts {
    /// All that works for the script at present.
    pub(crate) async fn granted(&self, port: &dyn GrantsPort) -> Result<Granted, Refused> {
        if self.asked.is_empty() {
            return Ok(Granted::default());
        }
        let given = port.given(self.attempt.workspace, self.attempt.path.clone(), self.attempt.version).await;
        given.map(|given| Granted::of(Arc::clone(&self.asked), given)).map_err(Refused::Unavailable)
    }
}

impl Host {
    /// All that works for the script at present.
    pub(crate) async fn granted(&self) -> Result<Granted, Refused> {
        self.run.granted(self.ports.grants.as_ref()).await
    }

    /// What whoever has none of `needs` is told, of which any would do.
    pub(crate) fn denial(&self, needs: &[Grant]) -> String {
        denial(&self.run.attempt.path, needs, &self.run.asked)
    }
}

/// That the script has `need`; a denial is a line in the run's log, too.
pub(crate) async fn require(guest: &mut Guest<Host>, need: &Grant) -> Result<(), Refused> {
    if guest.host.granted().await?.covers(need) { Ok(()) } else { Err(deny(guest, need)) }
}

/// What whoever does not have `need` is told, in its log too.
pub(crate) fn deny(guest: &Guest<Host>, need: &Grant) -> Refused {
    let text = guest.host.denial(std::slice::from_ref(need));
    guest.denied(&text);
    Refused::Denied(text)
}

/// Puts a denial into the run's log.
pub(crate) fn told<T, E: MayDeny>(guest: &Guest<Host>, result: Result<T, E>) -> Result<T, E> {
    if let Some(text) = result.as_ref().err().and_then(MayDeny::denial) {
        guest.denied(text);
    }
    result
}
