//! What handlers share: the state, and short memories of tokens, sessions and workspaces.

use std::{sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use sandmill_dispatch::Dispatch;
use sandmill_model::{
    Clock, TokenId, WorkspaceId,
    auth::{Principal, TokenHash},
    build::Builder,
    people::Name,
    recent::Recent,
};
use sandmill_store::{Store, signals::Signal, workspaces::Workspace};

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
    pub(crate) passwords: Passwords,
    /// Logins that fail, by account and by address.
    pub(crate) accounts: Throttle,
    pub(crate) addresses: Throttle,
    pub(crate) rates: Rates,
    /// Of endpoints, which one address may ask more often.
    pub(crate) endpoint_rates: Rates,
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
            endpoint_rates: Rates::new(state.options.endpoint_requests_per_s_max),
            options: state.options,
            downloads: state.downloads,
            metrics: state.metrics,
            tokens: Memory::default(),
            unknown_tokens: Recent::new(UNKNOWN_TOKENS_MAX, BELIEVED),
            failures: Failures::default(),
            workspaces: Recent::new(WORKSPACES_MAX, BELIEVED),
            people: Recent::new(PEOPLE_MAX, BELIEVED),
            members: Recent::new(MEMBERS_MAX, BELIEVED),
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

    /// These users changed here, or sessions of theirs ended: they are looked up again, here and on other nodes.
    pub(crate) fn outdate_people(&self, users: Vec<Name>) {
        self.forget_people(&users);
        self.dispatch.tell_people(users);
    }

    /// A workspace changed here, or who may do what in it: that is looked up again, here and on other nodes.
    pub(crate) fn outdate_members(&self, workspace: WorkspaceId) {
        self.forget_members(&[workspace]);
        self.dispatch.tell_members(workspace);
    }

    /// What this node or another tells.
    pub(crate) fn hear(&self, signal: &Signal) {
        match signal {
            Signal::Revoked(tokens) => self.tokens.forget(tokens),
            Signal::People(users) => self.forget_people(users),
            Signal::Members(workspaces) => self.forget_members(workspaces),
            _ => {}
        }
    }

    fn forget_people(&self, users: &[Name]) {
        self.people.outdate(|_, person| person.as_ref().is_some_and(|person| users.contains(&person.session.user.name)));
        let is_theirs = |identity: &str| users.iter().any(|user| identity.strip_prefix("u/") == Some(user.as_str()));
        self.members.outdate(|_, principal| is_theirs(&principal.identity));
    }

    fn forget_members(&self, workspaces: &[WorkspaceId]) {
        self.members.outdate(|(_, workspace), _| workspaces.contains(workspace));
        self.workspaces.outdate(|_, workspace| workspaces.contains(&workspace.id));
    }
}
