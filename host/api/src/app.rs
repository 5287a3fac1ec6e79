//! What handlers share: the state, and short memories of tokens, sessions and workspaces.

use std::{sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use sandmill_dispatch::Dispatch;
use sandmill_model::{
    Clock, TokenId, WorkspaceId,
    auth::{Principal, Scope, TokenHash},
    build::Builder,
    recent::Recent,
};
use sandmill_store::{Store, workspaces::Workspace};

use crate::{
    ApiOptions, ApiState, Denials, Downloads,
    auth::{Failures, Memory},
    passwords::Passwords,
    rates::Rates,
    sessions::Person,
    single_sign_on::SingleSignOn,
    throttle::Throttle,
};

/// How long a workspace that was looked up is believed, and that there is no such token.
const BELIEVED: Duration = Duration::from_secs(1);
/// Unknown tokens kept in memory, apart from the others: a flood of them must not push those out.
const UNKNOWN_TOKENS_MAX: usize = 1_000;
/// Workspaces kept in memory.
const WORKSPACES_MAX: usize = 10_000;
/// Sessions kept in memory.
const PEOPLE_MAX: usize = 10_000;
/// People in workspaces kept in memory; each may have thousands of scopes.
const MEMBERS_MAX: usize = 1_000;
/// Identities of runs that call the API, kept in memory.
const IDENTITIES_MAX: usize = 1_000;
/// Logins of one account that may fail at once, and how long it takes until one more may.
const ACCOUNT_FAILURES_MAX: u32 = 10;
const ACCOUNT_INTERVAL: Duration = Duration::from_secs(60);
/// The same for one address, behind which many people may be.
const ADDRESS_FAILURES_MAX: u32 = 100;
const ADDRESS_INTERVAL: Duration = Duration::from_secs(5);

pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) dispatch: Dispatch,
    pub(crate) builder: Arc<dyn Builder>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: ApiOptions,
    pub(crate) downloads: Arc<dyn Downloads>,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) tokens: Memory,
    pub(crate) unknown_tokens: Recent<TokenHash, ()>,
    pub(crate) failures: Failures,
    pub(crate) workspaces: Recent<Arc<str>, Workspace>,
    /// Who is logged in; none: was until a moment ago.
    pub(crate) people: Recent<TokenHash, Option<Arc<Person>>>,
    /// As whom they act in workspaces.
    pub(crate) members: Recent<(TokenHash, WorkspaceId), Arc<Principal>>,
    /// What identities may, as which runs call the API.
    pub(crate) identities: Recent<(WorkspaceId, Arc<str>), Arc<[Scope]>>,
    pub(crate) passwords: Passwords,
    /// Logins that fail, by account and by address.
    pub(crate) accounts: Throttle,
    pub(crate) addresses: Throttle,
    pub(crate) rates: Rates,
    pub(crate) denials: Arc<Denials>,
    pub(crate) single_sign_on: Option<SingleSignOn>,
}

impl App {
    pub(crate) fn new(state: ApiState) -> Self {
        Self {
            store: state.store,
            dispatch: state.dispatch,
            builder: state.builder,
            clock: state.clock,
            rates: Rates::new(state.options.requests_per_s_max),
            options: state.options,
            downloads: state.downloads,
            metrics: state.metrics,
            tokens: Memory::default(),
            unknown_tokens: Recent::new(UNKNOWN_TOKENS_MAX, BELIEVED),
            failures: Failures::default(),
            workspaces: Recent::new(WORKSPACES_MAX, BELIEVED),
            people: Recent::new(PEOPLE_MAX, BELIEVED),
            members: Recent::new(MEMBERS_MAX, BELIEVED),
            identities: Recent::new(IDENTITIES_MAX, BELIEVED),
            passwords: Passwords::new(),
            accounts: Throttle::new(ACCOUNT_FAILURES_MAX, ACCOUNT_INTERVAL),
            addresses: Throttle::new(ADDRESS_FAILURES_MAX, ADDRESS_INTERVAL),
            denials: state.denials,
            single_sign_on: state.single_sign_on,
        }
    }

    /// Tokens were revoked here, or got other secrets: nothing that is remembered of them counts any more.
    pub(crate) fn forget_tokens(&self, tokens: Vec<TokenId>) {
        self.tokens.forget(&tokens);
        self.dispatch.tell_revoked(tokens);
    }
}
