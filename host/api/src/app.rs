//! What handlers share: the state, and short memories of tokens, sessions and workspaces.

use std::{net::IpAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use metrics_exporter_prometheus::PrometheusHandle;
use sandmill_dispatch::{Dispatch, Flights};
use sandmill_model::{
    Clock, Digest, TokenId, TriggerId, WorkspaceId,
    auth::{SharedScopes, TokenHash},
    build::Builder,
    people::Name,
    recent::Recent,
    trigger::Kinds,
};
use sandmill_store::{Store, signals::Signal, workspaces::Workspace};
use tokio::sync::Semaphore;

use crate::{
    ApiOptions, ApiState, Denials, Downloads, Endings,
    audit::Allowance,
    auth::{Found, Memory},
    counts::{Counts, Pace},
    openapi::openapi,
    passwords::Passwords,
    problem::Problem,
    request::room::Bodies,
    sessions::Person,
    single_sign_on::SingleSignOn,
};

/// How long a workspace that was looked up is believed, and that there is no such token.
const BELIEVED: Duration = Duration::from_secs(1);
/// Unknown tokens kept in memory, apart from the others: a flood of them must not push those out.
const UNKNOWN_TOKENS_MAX: usize = 1_000;
/// Workspaces kept in memory, and as many names of none.
const WORKSPACES_MAX: usize = 10_000;
/// Sessions kept in memory.
const PEOPLE_MAX: usize = 10_000;
/// Scopes of people in workspaces kept in memory, and who is in none: each is 40 bytes and shares its texts with others, so all of them are
/// some 20 MiB. Most people have 51 scopes; one may have thousands.
const MEMBERS_SCOPES_MAX: usize = 500_000;
/// The same of identities of runs that call the API.
const IDENTITIES_SCOPES_MAX: usize = 100_000;
/// Accounts and addresses of which it is kept in memory how often something failed or came: some MiB for each kind, if all are taken.
const COUNTED_MAX: usize = 100_000;
/// Logins of one account that may fail.
const OF_ACCOUNT: Pace = Pace { at_once: 10, interval: Duration::from_secs(60) };
/// The same for one address, behind which many people may be.
const OF_ADDRESS: Pace = Pace { at_once: 100, interval: Duration::from_secs(5) };
/// Tokens and sessions of one address that are not valid. Nobody guesses 260 bits: what this keeps small is what a flood of wrong ones
/// costs the database.
const OF_TOKENS: Pace = Pace { at_once: 100, interval: Duration::from_secs(1) };
/// Requests of one network that one stored trigger does not let in. What it asks for may be short enough to be guessed.
const OF_STRANGERS: Pace = Pace { at_once: 100, interval: Duration::from_secs(1) };
/// How long a network is known from which a trigger let somebody in: what others send from there does not shut it out.
const KNOWN_SENDERS: Duration = Duration::from_secs(24 * 3600);
/// Look-ups at once of tokens and sessions that were not valid a moment ago: others stand in line.
const GUESSES_AT_ONCE_MAX: usize = 64;
/// After a silence an address may send as many requests at once as in this time.
const BURST_S: u32 = 2;

/// Whoever sends requests from a network to a stored trigger.
pub(crate) type Sender = (WorkspaceId, TriggerId, IpAddr);

/// An identity in a workspace.
pub(crate) type Within = (WorkspaceId, Arc<str>);

pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) dispatch: Dispatch,
    pub(crate) builder: Arc<dyn Builder>,
    pub(crate) kinds: Kinds,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: ApiOptions,
    /// Room for bodies that are under way.
    pub(crate) bodies: Bodies,
    pub(crate) downloads: Arc<dyn Downloads>,
    pub(crate) metrics: PrometheusHandle,
    pub(crate) tokens: Memory,
    pub(crate) unknown_tokens: Recent<TokenHash, ()>,
    /// Tokens and sessions that are not valid, by network.
    pub(crate) failures: Counts<IpAddr>,
    /// Requests that triggers did not let in by themselves.
    pub(crate) strangers: Counts<Sender>,
    /// Those whom they have let in.
    pub(crate) known_senders: Recent<Sender, ()>,
    pub(crate) guesses: Semaphore,
    pub(crate) token_look_ups: Flights<TokenHash, Result<Option<Found>, Problem>>,
    pub(crate) session_look_ups: Flights<TokenHash, Result<Option<Arc<Person>>, Problem>>,
    pub(crate) workspace_look_ups: Flights<Arc<str>, Result<Option<Workspace>, Problem>>,
    pub(crate) member_look_ups: Flights<Within, Result<Option<SharedScopes>, Problem>>,
    pub(crate) identity_look_ups: Flights<Within, Result<SharedScopes, Problem>>,
    pub(crate) workspaces: Recent<Arc<str>, Workspace>,
    /// Names of which there was no workspace a moment ago.
    pub(crate) unknown_workspaces: Recent<Arc<str>, ()>,
    /// Who is logged in; none: was until a moment ago.
    pub(crate) people: Recent<TokenHash, Option<Arc<Person>>>,
    /// What identities of people may in workspaces; none: they are in it no member.
    pub(crate) members: Recent<Within, Option<SharedScopes>>,
    /// What identities may, as which runs call the API.
    pub(crate) identities: Recent<Within, SharedScopes>,
    pub(crate) passwords: Passwords,
    /// Logins that fail, by account (its digest: names may be long) and by network.
    pub(crate) accounts: Counts<Digest>,
    pub(crate) addresses: Counts<IpAddr>,
    /// Requests, by network; none: they are not counted.
    pub(crate) rates: Option<Counts<IpAddr>>,
    /// The same of endpoints, which one network may ask more often.
    pub(crate) endpoint_rates: Option<Counts<IpAddr>>,
    pub(crate) denials: Arc<Denials>,
    pub(crate) endings: Arc<Endings>,
    pub(crate) allowance: Allowance,
    pub(crate) single_sign_on: Option<SingleSignOn>,
    /// As `/openapi.json` has it.
    pub(crate) description: Bytes,
}

/// `per_s` 0: without a limit.
fn rates(per_s: u32) -> Option<Counts<IpAddr>> {
    let interval = Duration::from_secs(1).checked_div(per_s)?;
    Some(Counts::new(Pace { at_once: per_s.saturating_mul(BURST_S), interval }, COUNTED_MAX))
}

impl App {
    pub(crate) fn new(state: ApiState) -> Self {
        Self {
            store: state.store,
            dispatch: state.dispatch,
            builder: state.builder,
            clock: state.clock,
            rates: rates(state.options.requests_per_s_max),
            endpoint_rates: rates(state.options.endpoint_requests_per_s_max),
            bodies: Bodies::new(
                state.options.body_room,
                state.options.body_bytes_max,
                state.options.body_bytes_max.max(state.options.component_bytes_max),
            ),
            options: state.options,
            downloads: state.downloads,
            metrics: state.metrics,
            tokens: Memory::default(),
            unknown_tokens: Recent::new(UNKNOWN_TOKENS_MAX, BELIEVED),
            failures: Counts::new(OF_TOKENS, COUNTED_MAX),
            strangers: Counts::new(OF_STRANGERS, COUNTED_MAX),
            known_senders: Recent::new(COUNTED_MAX, KNOWN_SENDERS).of_workspaces(|(workspace, ..): &Sender| *workspace),
            guesses: Semaphore::new(GUESSES_AT_ONCE_MAX),
            token_look_ups: Flights::default(),
            session_look_ups: Flights::default(),
            workspace_look_ups: Flights::default(),
            member_look_ups: Flights::default(),
            identity_look_ups: Flights::default(),
            workspaces: Recent::new(WORKSPACES_MAX, BELIEVED),
            unknown_workspaces: Recent::new(WORKSPACES_MAX, BELIEVED),
            people: Recent::new(PEOPLE_MAX, BELIEVED),
            members: Recent::weighed(
                MEMBERS_SCOPES_MAX,
                |scopes: &Option<SharedScopes>| 1 + scopes.as_ref().map_or(0, |scopes| scopes.len()),
                BELIEVED,
            )
            .of_workspaces(|(workspace, _): &(WorkspaceId, Arc<str>)| *workspace),
            identities: Recent::weighed(IDENTITIES_SCOPES_MAX, |scopes: &SharedScopes| 1 + scopes.len(), BELIEVED)
                .of_workspaces(|(workspace, _): &(WorkspaceId, Arc<str>)| *workspace),
            passwords: Passwords::new(),
            accounts: Counts::new(OF_ACCOUNT, COUNTED_MAX),
            addresses: Counts::new(OF_ADDRESS, COUNTED_MAX),
            denials: state.denials,
            endings: state.endings,
            allowance: Allowance::default(),
            single_sign_on: state.single_sign_on,
            description: openapi(&state.kinds).into(),
            kinds: state.kinds,
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
        self.members.outdate(|(_, identity), _| is_theirs(identity));
        self.identities.outdate(|(_, identity), _| is_theirs(identity));
    }

    fn forget_members(&self, workspaces: &[WorkspaceId]) {
        self.members.outdate(|(workspace, _), _| workspaces.contains(workspace));
        self.identities.outdate(|(workspace, _), _| workspaces.contains(workspace));
        self.workspaces.outdate(|_, workspace| workspaces.contains(&workspace.id));
        // One of them may be new.
        self.unknown_workspaces.outdate(|_, ()| true);
    }
}
