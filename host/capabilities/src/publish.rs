//! `sandmill:publish`: messages to brokers. Which there are the trigger kinds say; how one is spoken to is theirs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use sandmill_model::{
    Grant, ScriptPath, WorkspaceId,
    grants::PathPattern,
    trigger::{DynPublisher, Kinds, Message, Network, Nowhere, PublishError, Published, Publishing},
};
use sandmill_sandbox::{Guest, RunLog};
use tokio::time::timeout;
use wasmtime::{Result, component::Resource};

use crate::{
    Host,
    bindings::publish::{Error, Host as Publish, Message as GuestMessage},
    grants::{refusals, told},
    resources::{OpenResource, Revealed},
};

/// Bytes of a message's payload.
const PAYLOAD_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Bytes of its other texts.
const TEXTS_BYTES_MAX: usize = 64 * 1024;
/// Links of one workspace, and of all, that are kept open.
const LINKS_OF_WORKSPACE_MAX: usize = 16;
const LINKS_MAX: usize = 1_000;
/// A link that nobody has used for so long is dropped when the next one is looked for.
const IDLE: Duration = Duration::from_secs(60);
/// A message is given up so long before its run, so that the script can still say what happened; less if the run has little time left.
const BEFORE_END: Duration = Duration::from_millis(500);

/// Brokers that scripts send to. Cheap to clone.
#[derive(Clone)]
pub struct Publishers(Arc<Inner>);

struct Inner {
    publishers: Vec<Arc<dyn DynPublisher>>,
    network: Arc<dyn Network>,
    links: Mutex<HashMap<(WorkspaceId, ScriptPath), Link>>,
}

/// A link to the broker of a resource as it was at a revision.
struct Link {
    revision: i64,
    open: Arc<dyn Publishing>,
    used: Instant,
}

impl Publishers {
    /// Those of the kinds, which reach what `network` lets them.
    #[must_use]
    pub fn new(kinds: &Kinds, network: Arc<dyn Network>) -> Self {
        Self(Arc::new(Inner { publishers: kinds.publishers().cloned().collect(), network, links: Mutex::default() }))
    }

    /// For what sends nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::new(&Kinds::default(), Nowhere::shared())
    }

    async fn open(&self, workspace: WorkspaceId, path: &ScriptPath, revealed: &Revealed) -> Result<Arc<dyn Publishing>, Error> {
        let key = (workspace, path.clone());
        if let Some(open) = self.kept(&key, revealed.revision) {
            return Ok(open);
        }
        let Some(publisher) = self.0.publishers.iter().find(|publisher| publisher.resource().name == revealed.kind) else {
            let known: Vec<_> = self.0.publishers.iter().map(|publisher| publisher.resource().name).collect();
            return Err(Error::Invalid(format!("a resource of the type {} is no broker; those are: {}", revealed.kind, known.join(", "))));
        };
        let open = publisher.connect(&revealed.value, Arc::clone(&self.0.network)).await?;
        self.keep(key, Link { revision: revealed.revision, open: Arc::clone(&open), used: Instant::now() });
        Ok(open)
    }

    fn kept(&self, key: &(WorkspaceId, ScriptPath), revision: i64) -> Option<Arc<dyn Publishing>> {
        let mut links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        let link = links.get_mut(key).filter(|link| link.revision == revision)?;
        link.used = Instant::now();
        Some(Arc::clone(&link.open))
    }

    /// In the place of what nobody uses any more, and of what was used longest ago where there are too many.
    fn keep(&self, key: (WorkspaceId, ScriptPath), link: Link) {
        let mut links = self.0.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|_, link| link.used.elapsed() < IDLE);
        let workspace = key.0;
        let oldest_of = |links: &HashMap<(WorkspaceId, ScriptPath), Link>, of: Option<WorkspaceId>| {
            let own = links.iter().filter(|((workspace, _), _)| of.is_none_or(|of| *workspace == of));
            own.min_by_key(|(_, link)| link.used).map(|(key, _)| key.clone())
        };
        let of_workspace = links.keys().filter(|(other, _)| *other == workspace).count();
        let oldest = if of_workspace >= LINKS_OF_WORKSPACE_MAX {
            oldest_of(&links, Some(workspace))
        } else if links.len() >= LINKS_MAX {
            oldest_of(&links, None)
        } else {
            None
        };
        if let Some(oldest) = oldest {
            links.remove(&oldest);
        }
        links.insert(key, link);
    }
}

impl Publish for Guest<Host> {
    async fn publish(&mut self, via: Resource<OpenResource>, message: GuestMessage) -> Result<Result<String, Error>> {
        self.pace().await;
        let path = self.table().get(&via)?.path.clone();
        let left = self.deadline().since(self.now());
        let limit = left.saturating_sub(BEFORE_END.min(left / 10)).max(Duration::from_millis(1));
        let log = self.run_log();
        let late = || Err(Error::Unavailable(format!("{path}: the broker did not answer in time")));
        let published = timeout(limit, publish(&self.host, &log, &path, message)).await.unwrap_or_else(|_| late());
        Ok(told(self, published).map(|Published(said)| said.as_str().to_owned()))
    }
}

async fn publish(host: &Host, log: &RunLog, path: &ScriptPath, message: GuestMessage) -> Result<Published, Error> {
    let need = Grant::Publish(PathPattern::from(path));
    if !host.granted().await?.covers(&need) {
        return Err(Error::Denied(host.denial(&[need])));
    }
    let message = checked(message)?;
    let workspace = host.run.attempt.workspace;
    let revealed = host.ports.resources.reveal(workspace, path.clone()).await.map_err(Error::Unavailable)?;
    let revealed = revealed.ok_or_else(|| Error::Invalid(format!("there is no resource at {path} any more")))?;
    revealed.conceal(log);
    let traffic = &host.ports.http.traffic;
    traffic.admit(workspace).await.map_err(Error::Denied)?;
    let bytes = message.payload.len() + message.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    let link = host.ports.publish.open(workspace, path, &revealed).await.map_err(|error| named(error, path))?;
    traffic.count(workspace, bytes as u64, 0);
    let published = link.publish(message).await.map_err(|error| named(error.into(), path))?;
    traffic.count(workspace, 0, published.0.as_str().len() as u64);
    Ok(published)
}

fn checked(message: GuestMessage) -> Result<Message, Error> {
    let GuestMessage { to, payload, headers, id, kept } = message;
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(Error::TooLarge(format!("a message has at most {PAYLOAD_BYTES_MAX} bytes; this one has {}", payload.len())));
    }
    let of_headers: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if to.len() + id.as_ref().map_or(0, String::len) + of_headers > TEXTS_BYTES_MAX {
        return Err(Error::TooLarge(format!("name, id and headers of a message have at most {TEXTS_BYTES_MAX} bytes")));
    }
    if id.as_ref().is_some_and(String::is_empty) {
        return Err(Error::Invalid("an id has at least one character".to_owned()));
    }
    Ok(Message { to, payload: payload.into(), headers, id, is_kept: kept })
}

/// Says which resource it is about.
fn named(error: Error, path: &ScriptPath) -> Error {
    match error {
        Error::Denied(text) => Error::Denied(format!("{path}: {text}")),
        Error::Invalid(text) => Error::Invalid(format!("{path}: {text}")),
        Error::TooLarge(text) => Error::TooLarge(format!("{path}: {text}")),
        Error::Unavailable(text) => Error::Unavailable(format!("{path}: {text}")),
    }
}

impl From<PublishError> for Error {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Invalid(text) => Self::Invalid(text),
            PublishError::Transient(text) => Self::Unavailable(text),
        }
    }
}

refusals!(Error);
