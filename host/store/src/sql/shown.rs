//! What the audit log shows of variables and resources: their secrets as keyed digests, made here so that no secret leaves the store for
//! it.

use sandmill_model::{BoxFuture, JsonText, ScriptPath, WorkspaceId, audit};
use serde_json::{Map, Value as Json, json};

use super::Sql;
use crate::{
    StoreError,
    audit::Shown,
    resources::{Resource, Resources},
    seal::{Place, SealedKind},
    variables::{Variable, Variables},
};

impl Shown for Sql {
    fn variable<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<Option<JsonText>, StoreError>> {
        Box::pin(async move {
            let Some(Variable { secret, text, description, revision, .. }) = Variables::find(self, workspace, path).await? else {
                return Ok(None);
            };
            let mut value = json!({"secret": secret, "description": description, "revision": revision});
            if let Some(text) = text {
                value["text"] = text.into();
            } else if let Some(Some(revealed)) = readable(Variables::reveal(self, workspace, path).await)? {
                let place = Place { workspace, kind: SealedKind::Variable, path: path.as_str() };
                value["digest"] = self.keyed_digest(place, &[revealed.text.as_bytes()]);
            }
            Ok(audit::shown(&value))
        })
    }

    fn resource<'a>(&'a self, workspace: WorkspaceId, path: &'a ScriptPath) -> BoxFuture<'a, Result<Option<JsonText>, StoreError>> {
        Box::pin(async move {
            let Some(resource) = Resources::find(self, workspace, path).await? else { return Ok(None) };
            let Resource { kind, fields, secrets, description, revision, .. } = resource;
            let mut digests: Map<String, Json> = secrets.iter().map(|pointer| (pointer.clone(), Json::Null)).collect();
            if !digests.is_empty()
                && let Some(Some(revealed)) = readable(Resources::reveal(self, workspace, path).await)?
                && let Ok(whole) = revealed.value.read::<Json>()
            {
                let place = Place { workspace, kind: SealedKind::Resource, path: path.as_str() };
                for (pointer, digest) in &mut digests {
                    if let Some(secret) = whole.pointer(pointer) {
                        *digest = self.keyed_digest(place, &[pointer.as_bytes(), secret.to_string().as_bytes()]);
                    }
                }
            }
            let fields: Json = fields.read().unwrap_or_default();
            let value =
                json!({"type": kind.to_string(), "fields": fields, "secrets": digests, "description": description, "revision": revision});
            Ok(audit::shown(&value))
        })
    }
}

/// What cannot be opened is shown without a digest: it must not stand in the way of whoever deletes it.
fn readable<T>(result: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Keys(_) | StoreError::Corrupt(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Sql {
    /// Null without keys.
    fn keyed_digest(&self, place: Place<'_>, secret: &[&[u8]]) -> Json {
        self.seals.as_ref().and_then(|seals| seals.keyed_digest(place, secret)).map_or(Json::Null, Json::from)
    }
}
