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
    AuditId, Clock, Timestamp, TokenId, WorkspaceId,
    audit::{self, Actor, ActorKind, AuditOutcome, Origin, Record},
    auth::{Principal, Scope, TokenHash, new_token},
};
use sandmill_store::{Store, seal::KeySource, tokens::Known};
use serde_json::json;

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
    if let Some(token) = given {
        /// Shorter ones could be guessed.
        const TOKEN_BYTES_MIN: usize = 16;
        anyhow::ensure!(token.len() >= TOKEN_BYTES_MIN, "an admin token needs at least {TOKEN_BYTES_MIN} characters");
        let is_free = !["ss_", "sr_"].iter().any(|taken| token.starts_with(taken));
        anyhow::ensure!(is_free, "an admin token begins neither with `ss_`, as sessions of people do, nor with `sr_`, as tokens of runs");
        return keep_admin(store, TokenHash::of(token), "admin token given at start", now).await;
    }
    if store.tokens.any().await.context("the tokens cannot be read")? {
        return Ok(());
    }
    let token = new_token();
    let file = data.join("admin-token");
    // The file first: a token that nobody has seen would be of no use, and the next start would make no other.
    write_secret(&file, &token).with_context(|| format!("{} cannot be written", file.display()))?;
    keep_admin(store, TokenHash::of(&token), "admin token of the first start", now).await?;
    tracing::info!(file = %file.display(), "an admin token was written");
    Ok(())
}

/// Keeps a token that may do everything, unless it is there as it should be. The audit log of the installation tells of it as of what is
/// changed through the API: kept before, told after.
async fn keep_admin(store: &Store, hash: TokenHash, label: &str, now: Timestamp) -> anyhow::Result<()> {
    let admin = Principal { token: TokenId::new(now), workspace: None, identity: ADMIN.into(), scopes: [Scope::all()].into() };
    let present = store.tokens.by_hash(hash).await.context("the tokens cannot be read")?;
    if present.as_ref().is_some_and(|present| is_as(present, &admin)) {
        return Ok(());
    }
    let shown = |principal: &Principal| {
        let scopes: Vec<String> = principal.scopes.one_list().into_iter().flatten().map(ToString::to_string).collect();
        json!({"identity": &*principal.identity, "workspace": principal.workspace.map(|id| id.to_string()), "scopes": scopes, "label": label})
    };
    let record = Record {
        id: AuditId::new(now),
        workspace: None,
        actor: Actor::nameless(ActorKind::Operator),
        origin: Origin::default(),
        request_id: String::new(),
        action: "tokens.create".to_owned(),
        // A token that is there already keeps its id.
        target: present.as_ref().map_or(admin.token, |present| present.principal.token).to_string(),
        outcome: AuditOutcome::Unknown,
        attempts: 1,
        before: present.as_ref().and_then(|present| audit::shown(&shown(&present.principal))),
        after: audit::shown(&shown(&admin)),
    };
    store.audit.begin(record.clone(), now).await.context("the audit log cannot be written")?;
    let id = store.tokens.put(hash, &admin, label, now).await.context("the admin token cannot be kept")?;
    // Another node may have made it, or it was revoked, since it was looked for.
    let done = Record { outcome: AuditOutcome::Done, target: id.to_string(), ..record };
    store.audit.append(done, now).await.context("the audit log cannot be written").map(drop)
}

/// Whether a token is good for ever and for the same as `admin`.
fn is_as(present: &Known, admin: &Principal) -> bool {
    let Principal { token: _, workspace, identity, scopes } = &present.principal;
    present.expires_at.is_none() && (workspace, identity, scopes) == (&admin.workspace, &admin.identity, &admin.scopes)
}

fn write_secret(file: &Path, secret: &str) -> std::io::Result<()> {
    let temporary = file.with_extension("new");
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    writeln!(out, "{secret}")?;
    out.sync_all()?;
    fs::rename(&temporary, file)
}

#[cfg(test)]
mod tests {
    use sandmill_model::SystemClock;
    use sandmill_store::{Durability, Options};

    use super::*;

    #[tokio::test]
    async fn an_admin_token_leaves_an_entry_when_it_is_made_and_made_good_again() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { url: "sqlite::memory:".into(), durability: Durability::Normal };
        let store = sandmill_store::connect(&options).await.unwrap();
        let start = async |given: Option<&str>| first_start(&store, folder.path(), given, &SystemClock).await.unwrap();
        let told = async || {
            let entries = store.audit.entries(None, 0, 100).await.unwrap();
            assert!(entries.iter().all(|entry| entry.record.actor == Actor::nameless(ActorKind::Operator)), "{entries:?}");
            entries.into_iter().map(|entry| entry.record).collect::<Vec<_>>()
        };
        start(None).await;
        start(None).await;
        let first = told().await;
        assert_eq!((first.len(), first[0].action.as_str(), &first[0].before), (1, "tokens.create", &None));
        assert!(first[0].after.as_ref().unwrap().as_str().contains("first start"), "{first:?}");
        let given = "a token that nobody guesses";
        for _ in 0..3 {
            start(Some(given)).await;
        }
        let second = told().await;
        assert_eq!(second.len(), 2, "what is as it was is not told again: {second:?}");
        let id = store.tokens.by_hash(TokenHash::of(given)).await.unwrap().unwrap().principal.token;
        assert_eq!(second[1].target, id.to_string());
        assert!(!format!("{second:?}").contains(given));
        assert!(store.tokens.revoke(None, id).await.unwrap());
        start(Some(given)).await;
        assert_eq!(told().await.len(), 3, "it is good again");
        assert_eq!(store.audit.close(SystemClock.now(), SystemClock.now()).await.unwrap(), 0, "nothing that was begun is left over");
    }
}
