//! What a script may do to the world: its manifest asks, whoever deploys it grants, and what is both asked and granted works. Nothing else does.

mod access;
mod api;
mod denial;
mod granted;
pub mod http;
pub mod origin;
mod pattern;
mod text;

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use access::{Access, Mode};
pub use api::ApiGrant;
pub use denial::denial;
pub use granted::Granted;
pub use http::HttpGrant;
pub use pattern::{KeyPrefix, PathPattern};

use crate::{
    auth::{Action, Domain, Scope},
    path::ScriptPath,
};

/// Grants of one kind in a manifest.
pub const GRANTS_MAX: usize = 64;
/// Grants that a script was given.
pub const GIVEN_MAX: usize = 512;
/// Those among them that are for the API: each request of a run is compared with all of them.
pub const API_GIVEN_MAX: usize = 64;

/// What a manifest asks for, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// Paths of scripts that it may start runs of, e.g. `f/demo/*`; `*` stands for any characters, `/` among them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub runs: Vec<PathPattern>,
    /// Paths of resources whose fields it may read, all but the secret ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub resources: Vec<PathPattern>,
    /// Paths of variables that it may read, secret ones only as a text that stands for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub variables: Vec<PathPattern>,
    /// Paths of secret variables whose text it may read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub secrets: Vec<PathPattern>,
    /// Resources on which it may use SQL, e.g. `read f/demo/database`; `write` covers `read`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub sql: Vec<Access<PathPattern>>,
    /// Prefixes of the keys of objects, e.g. `write reports/`; `write` covers `read`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub blob: Vec<Access<KeyPrefix>>,
    /// Requests that it may make, e.g. `GET,POST https://api.example.com/repos with f/demo/account`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HttpGrant>,
    /// What its runs may do over the platform's own API, as scopes of tokens, e.g. `runs:start:f/demo/*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub api: Vec<ApiGrant>,
    /// Paths of resources over which it may send messages to brokers, e.g. `f/demo/broker`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub publish: Vec<PathPattern>,
}

/// One grant. As text it is `kind:what`, e.g. `runs:f/demo/*` or `sql:read f/demo/database`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grant {
    Runs(PathPattern),
    Resources(PathPattern),
    Variables(PathPattern),
    Secrets(PathPattern),
    Sql(Access<PathPattern>),
    Blob(Access<KeyPrefix>),
    Http(HttpGrant),
    Api(ApiGrant),
    Publish(PathPattern),
}

/// Why a text is no grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidGrant(pub String);

impl Grant {
    /// The key of `[grants]` under which it is asked for.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Runs(_) => "runs",
            Self::Resources(_) => "resources",
            Self::Variables(_) => "variables",
            Self::Secrets(_) => "secrets",
            Self::Sql(_) => "sql",
            Self::Blob(_) => "blob",
            Self::Http(_) => "http",
            Self::Api(_) => "api",
            Self::Publish(_) => "publish",
        }
    }

    /// The text under that key.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Runs(pattern) | Self::Resources(pattern) | Self::Variables(pattern) | Self::Secrets(pattern) | Self::Publish(pattern) => {
                pattern.to_string()
            }
            Self::Sql(access) => access.to_string(),
            Self::Blob(access) => access.to_string(),
            Self::Http(grant) => grant.to_string(),
            Self::Api(grant) => grant.to_string(),
        }
    }

    /// Whether it allows all that `other` does.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Runs(own), Self::Runs(other))
            | (Self::Resources(own), Self::Resources(other))
            | (Self::Variables(own), Self::Variables(other))
            | (Self::Secrets(own), Self::Secrets(other))
            | (Self::Publish(own), Self::Publish(other)) => own.covers(other),
            (Self::Sql(own), Self::Sql(other)) => own.covers(other),
            (Self::Blob(own), Self::Blob(other)) => own.covers(other),
            (Self::Http(own), Self::Http(other)) => own.covers_grant(other),
            (Self::Api(own), Self::Api(other)) => own.covers(other),
            _ => false,
        }
    }

    /// What this, which is asked for, and `given` have in common, as grants of which each allows all of that: the narrower one, or both where
    /// neither is. Empty if they have nothing in common.
    #[must_use]
    pub fn shared(&self, given: &Self) -> Vec<Self> {
        fn all<T>(shared: Vec<T>, kind: fn(T) -> Grant) -> Vec<Grant> {
            shared.into_iter().map(kind).collect()
        }
        match (self, given) {
            (Self::Runs(own), Self::Runs(given)) => all(own.shared(given), Self::Runs),
            (Self::Resources(own), Self::Resources(given)) => all(own.shared(given), Self::Resources),
            (Self::Variables(own), Self::Variables(given)) => all(own.shared(given), Self::Variables),
            (Self::Secrets(own), Self::Secrets(given)) => all(own.shared(given), Self::Secrets),
            (Self::Sql(own), Self::Sql(given)) => all(own.shared(given), Self::Sql),
            (Self::Blob(own), Self::Blob(given)) => all(own.shared(given), Self::Blob),
            // Who may give it depends on the credentials alone, which are those that are asked for.
            (Self::Http(own), Self::Http(given)) if own.overlaps(given) => vec![self.clone()],
            (Self::Api(own), Self::Api(given)) => all(own.shared(given), Self::Api),
            (Self::Publish(own), Self::Publish(given)) => all(own.shared(given), Self::Publish),
            _ => Vec::new(),
        }
    }

    /// Whether some of what this asks for works where `given` was given.
    #[must_use]
    pub fn overlaps(&self, given: &Self) -> bool {
        !self.shared(given).is_empty()
    }

    /// What whoever grants it must be allowed to do, all of it: nobody grants what they may not do themselves.
    #[must_use]
    pub fn needs(&self) -> Vec<Need> {
        let need = |domain, action, on: String| vec![Need { domain, action, on }];
        match self {
            Self::Runs(pattern) => need(Domain::Runs, Action::Start, pattern.to_string()),
            Self::Resources(pattern) => need(Domain::Resources, Action::Read, pattern.to_string()),
            Self::Variables(pattern) => need(Domain::Variables, Action::Read, pattern.to_string()),
            // No token shows a secret; who may put another in its place may also hand it out.
            Self::Secrets(pattern) => need(Domain::Variables, Action::Write, pattern.to_string()),
            Self::Sql(access) => need(Domain::Resources, access.mode.action(), access.of.to_string()),
            Self::Blob(access) => need(Domain::Blobs, access.mode.action(), format!("{}*", access.of.as_str())),
            // The secrets of what is at the path go to that origin: it is handing them out.
            Self::Http(grant) => {
                let both = |path: &ScriptPath| {
                    [Domain::Resources, Domain::Variables].map(|domain| Need { domain, action: Action::Write, on: path.to_string() })
                };
                grant.resource().map(both).into_iter().flatten().collect()
            }
            Self::Api(grant) => vec![grant.need()],
            // As for SQL that writes: what is behind the resource is changed.
            Self::Publish(pattern) => need(Domain::Resources, Action::Write, pattern.to_string()),
        }
    }
}

/// An action on paths that are like a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub domain: Domain,
    pub action: Action,
    pub on: String,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.text())
    }
}

impl FromStr for Grant {
    type Err = InvalidGrant;

    fn from_str(text: &str) -> Result<Self, InvalidGrant> {
        let invalid = |fault: &str| InvalidGrant(format!("the grant `{text}`: {fault}"));
        let (kind, what) =
            text.split_once(':').ok_or_else(|| invalid("it is written as its kind, `:` and what is granted, e.g. runs:f/demo/*"))?;
        let what = what.trim();
        let grant = match kind {
            "runs" => what.parse().map(Self::Runs),
            "resources" => what.parse().map(Self::Resources),
            "variables" => what.parse().map(Self::Variables),
            "secrets" => what.parse().map(Self::Secrets),
            "sql" => what.parse().map(Self::Sql),
            "blob" => what.parse().map(Self::Blob),
            "http" => what.parse().map(Self::Http).map_err(|error: http::InvalidGrant| InvalidGrant(error.to_string())),
            "api" => what.parse().map(Self::Api),
            "publish" => what.parse().map(Self::Publish),
            _ => Err(InvalidGrant("the kinds are runs, resources, variables, secrets, sql, blob, http, api and publish".to_owned())),
        };
        grant.map_err(|InvalidGrant(fault)| invalid(&fault))
    }
}

text::as_text!(Grant);

impl Grants {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Each of them, by kind and in the manifest's order.
    pub fn iter(&self) -> impl Iterator<Item = Grant> {
        let Self { runs, resources, variables, secrets, sql, blob, http, api, publish } = self;
        let runs = runs.iter().cloned().map(Grant::Runs);
        let resources = resources.iter().cloned().map(Grant::Resources);
        let variables = variables.iter().cloned().map(Grant::Variables);
        let secrets = secrets.iter().cloned().map(Grant::Secrets);
        let sql = sql.iter().cloned().map(Grant::Sql);
        let blob = blob.iter().cloned().map(Grant::Blob);
        let http = http.iter().cloned().map(Grant::Http);
        let api = api.iter().cloned().map(Grant::Api);
        let publish = publish.iter().cloned().map(Grant::Publish);
        runs.chain(resources).chain(variables).chain(secrets).chain(sql).chain(blob).chain(http).chain(api).chain(publish)
    }

    /// # Errors
    /// What is wrong with it, for the script's author.
    pub fn check(&self) -> Result<(), String> {
        let Self { runs, resources, variables, secrets, sql, blob, http, api, publish } = self;
        let paths = [runs.len(), resources.len(), variables.len(), secrets.len(), publish.len()];
        let lengths = [sql.len(), blob.len(), http.len(), api.len()];
        match paths.iter().chain(&lengths).any(|length| *length > GRANTS_MAX) {
            true => Err(format!("a manifest asks for at most {GRANTS_MAX} of each kind")),
            false => Ok(()),
        }
    }

    /// Whether one of them allows all that `need` does.
    #[must_use]
    pub fn cover(&self, need: &Grant) -> bool {
        self.iter().any(|grant| grant.covers(need))
    }

    /// The same as the scopes of a token that may start the runs that are granted and do nothing else.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        self.runs.iter().map(|pattern| Scope::on(Domain::Runs, Action::Start, pattern.as_str())).collect()
    }
}

impl FromIterator<Grant> for Grants {
    fn from_iter<I: IntoIterator<Item = Grant>>(grants: I) -> Self {
        let mut all = Self::default();
        for grant in grants {
            match grant {
                Grant::Runs(pattern) => all.runs.push(pattern),
                Grant::Resources(pattern) => all.resources.push(pattern),
                Grant::Variables(pattern) => all.variables.push(pattern),
                Grant::Secrets(pattern) => all.secrets.push(pattern),
                Grant::Sql(access) => all.sql.push(access),
                Grant::Blob(access) => all.blob.push(access),
                Grant::Http(grant) => all.http.push(grant),
                Grant::Api(grant) => all.api.push(grant),
                Grant::Publish(pattern) => all.publish.push(pattern),
            }
        }
        all
    }
}

#[cfg(test)]
mod tests;
