//! `/api/w/{workspace}/tokens` and `/api/instance/tokens`: who may call, for how long, and for what. A secret is shown once, to whoever
//! asked for it.

pub(crate) mod instance;
pub(super) mod make;
pub(crate) mod workspace;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use sandmill_model::{
    Code, TokenId, WorkspaceId,
    auth::{Access, Action, Domain, Principal, TokenHash, new_token, shown_prefix},
};
use sandmill_store::tokens::{Maker, NewToken, Rotation, TOKENS_MAX, Token, TokenRefusal};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    app::App,
    audit::Facts,
    auth::{Shown, forbidden},
    problem::Problem,
    request::{paging, url::no_token},
};

/// The longest time for which the secret before a rotation stays good.
const OVERLAP_S_MAX: u64 = 30 * 24 * 3600;

/// A token without its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenBody {
    id: String,
    /// How the secret begins; empty if nothing of it is kept.
    prefix: String,
    label: String,
    /// `user`; `start` for one that may start what is at one path and nothing else; `run` for one that was made for a run.
    kind: &'static str,
    /// E.g. `runs:start:f/billing/*`.
    scopes: Vec<String>,
    /// Whatever the scopes say, it changes nothing.
    read_only: bool,
    /// Who runs act as that it starts.
    identity: String,
    created_at: String,
    /// Null: the server itself.
    created_by: Option<String>,
    /// Null: never.
    expires_at: Option<String>,
    /// To a minute; null: never.
    last_used_at: Option<String>,
    /// Until when the secret before the last rotation is good.
    old_secret_until: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct TokenList {
    items: Vec<TokenBody>,
    /// Where the next page starts; null on the last.
    next: Option<String>,
}

/// A token with its secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenSecret {
    /// What to send as `Authorization: Bearer`.
    secret: String,
    token: TokenBody,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenRequest {
    /// What it is for, up to 200 characters.
    #[serde(default)]
    label: String,
    /// Each `domain:action` or `domain:action:path-glob`, and covered by the caller's own. Left out: all that the caller has.
    scopes: Option<Vec<String>>,
    /// The path of the one script that it may start, instead of scopes.
    start: Option<String>,
    /// Whatever the scopes say, it is to change nothing.
    #[serde(default)]
    read_only: bool,
    /// `u/<name>`: who runs act as that it starts. Left out: the caller's own; another one needs `instance:write` of the installation.
    identity: Option<String>,
    /// RFC 3339. Left out with `expires_in_s`: never.
    expires_at: Option<String>,
    /// Seconds from now.
    expires_in_s: Option<u64>,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateRequest {
    /// Seconds for which the secret of now stays good, too; 0 if left out, 2592000 at most.
    #[serde(default)]
    overlap_s: u64,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// `next` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 if left out.
    limit: Option<u32>,
}

impl From<Token> for TokenBody {
    fn from(token: Token) -> Self {
        Self {
            id: token.id.to_string(),
            prefix: token.prefix,
            label: token.label,
            kind: token.kind.name(),
            scopes: token.scopes.iter().map(ToString::to_string).collect(),
            read_only: token.access == Access::ReadOnly,
            identity: token.identity.to_string(),
            created_at: token.created_at.to_string(),
            created_by: token.created_by.map(|by| by.to_string()),
            expires_at: token.expires_at.map(|at| at.to_string()),
            last_used_at: token.last_used_at.map(|at| at.to_string()),
            old_secret_until: token.old_until.map(|at| at.to_string()),
        }
    }
}

/// Tokens of one workspace, or of the installation, and who asks for them. That they may is checked by whoever makes one.
struct Tokens<'a> {
    app: &'a App,
    of: Option<WorkspaceId>,
    principal: &'a Principal,
    shown: &'a Shown,
}

impl Tokens<'_> {
    async fn list(&self, query: &PageQuery) -> Result<Json<TokenList>, Problem> {
        let limit = paging::limit(query.limit)?;
        let after: Option<TokenId> = paging::decode(query.cursor.as_deref())?;
        let mut found = self.app.store.tokens.list(self.of, after, limit + 1).await?;
        let next = paging::cut(&mut found, limit, |token| token.id.to_string());
        Ok(Json(TokenList { items: found.into_iter().map(TokenBody::from).collect(), next }))
    }

    async fn show(&self, id: TokenId) -> Result<Json<TokenBody>, Problem> {
        Ok(Json(self.find(id).await?.into()))
    }

    async fn create(&self, request: TokenRequest) -> Result<Response, Problem> {
        let now = self.app.clock.now();
        let make::Checked { kind, access, scopes, label, identity, expires_at } = make::check(request, self.principal, self.of, now)?;
        let secret = new_token();
        let new = NewToken {
            id: TokenId::new(now),
            hash: TokenHash::of(&secret),
            prefix: shown_prefix(&secret).to_owned(),
            workspace: self.of,
            identity,
            kind,
            access,
            scopes,
            label,
            expires_at,
            by: self.maker(),
            now,
        };
        let made = self.app.store.tokens.create(new).await?.map_err(refused)?;
        let body = TokenBody::from(made);
        let facts = Facts { target: Some(body.id.clone()), after: serde_json::to_value(&body).unwrap_or_default(), ..Facts::default() };
        Ok((Extension(facts), shown_once(StatusCode::CREATED, secret, body)).into_response())
    }

    /// A new secret gives all that the token may: only to whoever it belongs to, and may as much, or who may do everything anyway.
    async fn rotate(&self, id: TokenId, RotateRequest { overlap_s }: RotateRequest) -> Result<Response, Problem> {
        if overlap_s > OVERLAP_S_MAX {
            return Err(Problem::new(Code::BadRequest, format!("`overlap_s` is 0 to {OVERLAP_S_MAX}")));
        }
        let token = self.find(id).await?;
        let is_own = token.identity == self.principal.identity && self.principal.includes(&token.scopes);
        if !is_own && !self.principal.may_instance(Action::Write) {
            return Err(Problem::new(Code::Forbidden, "a token is rotated by the identity that it has, with a token that may as much"));
        }
        if !self.principal.includes(&token.scopes) {
            return Err(widened());
        }
        let (now, secret) = (self.app.clock.now(), new_token());
        let rotation = Rotation {
            id,
            workspace: self.of,
            hash: TokenHash::of(&secret),
            prefix: shown_prefix(&secret).to_owned(),
            old_until: now.plus(Duration::from_secs(overlap_s)),
            by: self.maker(),
            now,
        };
        let rotated = self.app.store.tokens.rotate(rotation).await?.map_err(refused)?;
        self.app.forget_tokens(vec![id]);
        Ok(shown_once(StatusCode::OK, secret, rotated.into()))
    }

    async fn revoke(&self, id: TokenId) -> Result<StatusCode, Problem> {
        let revoked = self.app.store.tokens.revoke(self.of, id).await?;
        // Also if another was first: it may have been on another node.
        self.app.forget_tokens(vec![id]);
        if revoked { Ok(StatusCode::NO_CONTENT) } else { Err(no_token()) }
    }

    async fn find(&self, id: TokenId) -> Result<Token, Problem> {
        self.app.store.tokens.find(self.of, id).await?.ok_or_else(no_token)
    }

    fn maker(&self) -> Maker {
        Maker { token: self.shown.maker(self.principal), identity: Arc::clone(&self.principal.identity) }
    }
}

fn widened() -> Problem {
    Problem::new(Code::Forbidden, "a token may do nothing that whoever makes it may not: the token that asks lacks some of these scopes")
}

fn no_scope(action: Action) -> Problem {
    forbidden(Domain::Tokens, action, None)
}

fn refused(refusal: TokenRefusal) -> Problem {
    match refusal {
        TokenRefusal::NoMaker => Problem::new(Code::Unauthorized, "the token has expired, or was revoked"),
        TokenRefusal::OutlivesMaker(at) => {
            Problem::new(Code::Forbidden, format!("no token outlives the one that makes it: let it expire at {at} or sooner"))
        }
        TokenRefusal::TooMany => Problem::new(Code::Conflict, format!("there are {TOKENS_MAX} tokens, which is the most: revoke some")),
        TokenRefusal::NotThere => no_token(),
        TokenRefusal::Expired => Problem::new(Code::Conflict, "the token has expired: make another"),
    }
}

fn shown_once(status: StatusCode, secret: String, token: TokenBody) -> Response {
    let mut response = (status, Json(TokenSecret { secret, token })).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
