//! The first start: data folder, workspace, admin token, node name.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use anyhow::Context;
use sandmill_model::{
    Clock, TokenId, WorkspaceId,
    auth::{Principal, Scope, TokenHash, new_token},
};
use sandmill_store::{Store, seal::KeySource};

/// The workspace that every installation has.
pub(crate) const DEFAULT_WORKSPACE: &str = "default";
/// The identity of the first token.
const ADMIN: &str = "u/admin";

/// Makes the data folder; nobody else on the machine may look into it.
pub(crate) fn data_folder(data: &Path) -> anyhow::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data)
        .with_context(|| format!("the data folder {} cannot be made", data.display()))
}

/// A name for this node that stays the same over restarts with the same data folder.
pub(crate) fn node_name(data: &Path) -> anyhow::Result<Arc<str>> {
    let file = data.join("node-id");
    match fs::read_to_string(&file) {
        Ok(name) if !name.trim().is_empty() => Ok(name.trim().into()),
        _ => {
            let bytes: [u8; 8] = sandmill_model::random::bytes();
            let name = format!("node-{:016x}", u64::from_be_bytes(bytes));
            fs::write(&file, &name).with_context(|| format!("{} cannot be written", file.display()))?;
            Ok(name.into())
        }
    }
}

/// Where the keys are that seal secrets.
pub(crate) fn key_source(data: &Path, file: Option<&Path>) -> KeySource {
    // Not an option: whoever may see the processes of the machine sees their arguments.
    #[expect(clippy::disallowed_methods, reason = "a key may come from the environment, and never from the command line")]
    let given = std::env::var("SANDMILL_INSTANCE_KEY").ok().filter(|keys| !keys.trim().is_empty());
    match given {
        Some(keys) => KeySource::Text(keys.into()),
        None => KeySource::File(file.map_or_else(|| data.join(crate::backup::INSTANCE_KEY), Path::to_owned)),
    }
}

/// The default workspace, and an admin token: the one given, or on the first start a new one in `DATA/admin-token`.
pub(crate) async fn first_start(store: &Store, data: &Path, given: Option<&str>, clock: &dyn Clock) -> anyhow::Result<()> {
    let now = clock.now();
    store.workspaces.ensure(WorkspaceId::new(now), DEFAULT_WORKSPACE, now).await.context("the default workspace cannot be made")?;
    let admin = Principal { token: TokenId::new(now), workspace: None, identity: ADMIN.into(), scopes: [Scope::all()].into() };
    if let Some(token) = given {
        /// Shorter ones could be guessed.
        const TOKEN_BYTES_MIN: usize = 16;
        anyhow::ensure!(token.len() >= TOKEN_BYTES_MIN, "an admin token needs at least {TOKEN_BYTES_MIN} characters");
        let is_free = !["ss_", "sr_"].iter().any(|taken| token.starts_with(taken));
        anyhow::ensure!(is_free, "an admin token begins neither with `ss_`, as sessions of people do, nor with `sr_`, as tokens of runs");
        store
            .tokens
            .put(TokenHash::of(token), &admin, "admin token given at start", now)
            .await
            .context("the admin token cannot be kept")?;
        return Ok(());
    }
    if store.tokens.any().await.context("the tokens cannot be read")? {
        return Ok(());
    }
    let token = new_token();
    let file = data.join("admin-token");
    // The file first: a token that nobody has seen would be of no use, and the next start would make no other.
    write_secret(&file, &token).with_context(|| format!("{} cannot be written", file.display()))?;
    store
        .tokens
        .put(TokenHash::of(&token), &admin, "admin token of the first start", now)
        .await
        .context("the admin token cannot be kept")?;
    tracing::info!(file = %file.display(), "an admin token was written");
    Ok(())
}

fn write_secret(file: &Path, secret: &str) -> std::io::Result<()> {
    let temporary = file.with_extension("new");
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    writeln!(out, "{secret}")?;
    out.sync_all()?;
    fs::rename(&temporary, file)
}
