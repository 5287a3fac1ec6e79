//! `POST /api/instance/keys/rotate`

use std::sync::Arc;

use axum::{Extension, Json, extract::State};
use sandmill_model::auth::{Action, Domain};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::{
    app::App,
    audit::Facts,
    auth::{Authenticated, forbidden},
    problem::Problem,
};

/// What a rotation came to.
#[derive(Serialize, ToSchema)]
pub(crate) struct RotationReceipt {
    /// Workspaces that have a new data key.
    workspaces: u64,
    /// Resources and variables that were sealed anew.
    resealed: u64,
    /// Id of the instance key that wraps all data keys now: any other may be taken out of the key file.
    wrapped_by: String,
}

/// Reads the instance keys again, gives every workspace a new data key and seals all secrets with it, while others go on reading and writing.
#[utoipa::path(post, path = "/api/instance/keys/rotate", tag = "instance", responses((status = 200, body = RotationReceipt)))]
pub(crate) async fn rotate(
    State(app): State<Arc<App>>,
    Authenticated(principal, ..): Authenticated,
) -> Result<(Extension<Facts>, Json<RotationReceipt>), Problem> {
    if !principal.may_instance(Action::Write) {
        return Err(forbidden(Domain::Instance, Action::Write, None));
    }
    let rotation = app.store.keys.rotate(app.clock.now()).await?;
    tracing::info!(
        by = &*principal.identity,
        workspaces = rotation.workspaces,
        resealed = rotation.resealed,
        wrapped_by = rotation.wrapped_by,
        "keys were rotated"
    );
    let facts = Facts {
        after: json!({"workspaces": rotation.workspaces, "resealed": rotation.resealed, "wrapped_by": rotation.wrapped_by}),
        ..Facts::default()
    };
    let receipt = RotationReceipt { workspaces: rotation.workspaces, resealed: rotation.resealed, wrapped_by: rotation.wrapped_by };
    Ok((Extension(facts), Json(receipt)))
}
