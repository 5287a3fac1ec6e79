//! `sandmill:resources`: typed JSON objects, some of whose fields a script may use but not see.

use sandmill_model::{
    BoxFuture, Grant, JsonText, ScriptPath, WorkspaceId,
    grants::{Access, Mode, PathPattern},
};
use sandmill_sandbox::{Guest, RunLog};
use wasmtime::{Result, component::Resource};

use crate::{
    Host,
    bindings::resources::{Error, Host as Resources, HostHandle},
    grants::{refusals, told},
};

/// Bytes of a text of the guest that an error shows.
const SHOWN_BYTES_MAX: usize = 256;

/// A resource as a script may see it.
#[derive(Clone, Debug)]
pub struct ResourceView {
    /// Name of its type, e.g. `postgresql`.
    pub kind: String,
    /// JSON object of the fields that are not secret.
    pub fields: JsonText,
    /// JSON pointers of those that are.
    pub secrets: Vec<String>,
}

/// A resource as the host uses it. It never reaches a guest, a log or an error.
#[derive(Clone)]
pub struct Revealed {
    pub kind: String,
    /// All fields.
    pub value: JsonText,
    /// JSON pointers of those that are secret.
    pub secrets: Vec<String>,
    /// Another for each change.
    pub revision: i64,
}

impl Revealed {
    /// Its secrets are masked in the run's log from now on: whoever they are shown to may repeat them.
    pub(crate) fn conceal(&self, log: &RunLog) {
        for pointer in &self.secrets {
            if let Some(secret) = secret(self, pointer) {
                log.conceal_whole(&secret);
            }
        }
    }
}

/// Where resources are kept. None where there is no resource; errors are texts that may be shown to a script.
pub trait ResourcesPort: Send + Sync + 'static {
    fn look(&self, workspace: WorkspaceId, path: ScriptPath) -> BoxFuture<'_, Result<Option<ResourceView>, String>>;

    fn reveal(&self, workspace: WorkspaceId, path: ScriptPath) -> BoxFuture<'_, Result<Option<Revealed>, String>>;
}

/// What a handle stands for. It is in the table of its run and ends with it.
pub struct OpenResource {
    pub(crate) path: ScriptPath,
    view: ResourceView,
}

impl Resources for Guest<Host> {
    async fn open(&mut self, path: String) -> Result<Result<Resource<OpenResource>, Error>> {
        self.pace().await;
        let opened = open(&self.host, &path).await;
        Ok(match told(self, opened) {
            Ok(opened) => Ok(self.table().push(opened)?),
            Err(error) => Err(error),
        })
    }
}

async fn open(host: &Host, path: &str) -> Result<OpenResource, Error> {
    let shown = &path[..path.floor_char_boundary(SHOWN_BYTES_MAX)];
    let path: ScriptPath = path.parse().map_err(|error| Error::Invalid(format!("`{shown}`: {error}")))?;
    allowed(host, &path).await?;
    let view = host.ports.resources.look(host.run.attempt.workspace, path.clone()).await.map_err(Error::Unavailable)?;
    let view = view.ok_or_else(|| Error::NotFound(format!("there is no resource at {path}")))?;
    Ok(OpenResource { path, view })
}

async fn allowed(host: &Host, path: &ScriptPath) -> Result<(), Error> {
    let (granted, path) = (host.granted().await?, PathPattern::from(path));
    let fields = Grant::Resources(path.clone());
    let broker = Grant::Publish(path.clone());
    let database = Grant::Sql(Access { mode: Mode::Read, of: path });
    // What may be used may be opened.
    if granted.covers(&fields) || granted.covers(&database) || granted.covers(&broker) {
        return Ok(());
    }
    // Where the manifest asks for the database or the broker, that grant is what is missing: it opens the resource, too.
    let asked = [&database, &broker].into_iter().find(|grant| host.run.asked.cover(grant)).cloned();
    let text = match asked {
        Some(asked) => host.denial(&[asked]),
        None => host.denial(&[fields, database]),
    };
    Err(Error::Denied(text))
}

refusals!(Error);

impl HostHandle for Guest<Host> {
    async fn path(&mut self, this: Resource<OpenResource>) -> Result<String> {
        self.pace().await;
        Ok(self.table().get(&this)?.path.to_string())
    }

    async fn kind(&mut self, this: Resource<OpenResource>) -> Result<String> {
        self.pace().await;
        Ok(self.table().get(&this)?.view.kind.clone())
    }

    async fn fields(&mut self, this: Resource<OpenResource>) -> Result<String> {
        self.pace().await;
        Ok(self.table().get(&this)?.view.fields.as_str().to_owned())
    }

    async fn placeholder(&mut self, this: Resource<OpenResource>, pointer: String) -> Result<Result<String, Error>> {
        self.pace().await;
        let OpenResource { path, view } = self.table().get(&this)?;
        if !view.secrets.contains(&pointer) {
            let shown = &pointer[..pointer.floor_char_boundary(SHOWN_BYTES_MAX)];
            return Ok(Err(Error::Invalid(format!("`{shown}` is no secret field of {path}; those are: {}", view.secrets.join(", ")))));
        }
        let path = path.clone();
        let host = &self.host;
        let revealed = match host.ports.resources.reveal(host.run.attempt.workspace, path.clone()).await {
            Ok(Some(revealed)) => revealed,
            Ok(None) => return Ok(Err(Error::NotFound(format!("there is no resource at {path} any more")))),
            Err(text) => return Ok(Err(Error::Unavailable(text))),
        };
        Ok(match secret(&revealed, &pointer) {
            Some(secret) => {
                let made = host.run.placeholders().make(&path, &secret);
                self.conceal_whole(&secret);
                made.map_err(Error::Invalid)
            }
            None => Err(Error::Invalid(format!("{path} has no text at `{pointer}`"))),
        })
    }

    async fn drop(&mut self, this: Resource<OpenResource>) -> Result<()> {
        self.table().delete(this)?;
        Ok(())
    }
}

/// The text at a JSON pointer; numbers as they are written.
fn secret(revealed: &Revealed, pointer: &str) -> Option<String> {
    let value: serde_json::Value = revealed.value.read().ok()?;
    match value.pointer(pointer)? {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
