//! What works for a script: what is both asked for and given. The two are compared at each call, since they may overlap where neither covers the
//! other, and what they have in common is not always a grant of its own.

use std::{collections::BTreeSet, sync::Arc};

use super::{ApiGrant, Grant, Grants, HttpGrant, PathPattern};
use crate::auth::Scope;

/// Nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Granted {
    asked: Arc<Grants>,
    given: Arc<[Grant]>,
}

impl Granted {
    #[must_use]
    pub fn of(asked: Arc<Grants>, given: Arc<[Grant]>) -> Self {
        Self { asked, given }
    }

    /// All that was given, asked for or not.
    #[must_use]
    pub fn given(&self) -> &Arc<[Grant]> {
        &self.given
    }

    /// Whether one that is asked for and one that was given both do what is looked for.
    #[must_use]
    pub fn allows(&self, does: impl Fn(&Grant) -> bool) -> bool {
        self.asked.iter().any(|asked| does(&asked)) && self.given.iter().any(does)
    }

    /// Whether it may do all that `need` stands for.
    #[must_use]
    pub fn covers(&self, need: &Grant) -> bool {
        self.allows(|grant| grant.covers(need))
    }

    /// The requests that are asked for and that `covers`, where one that was given does, too. If credentials are to go along, the given one names the
    /// same: without them the request would be another than the one that was asked for.
    #[must_use]
    pub fn http(&self, covers: impl Fn(&HttpGrant) -> bool) -> Vec<&HttpGrant> {
        let given = self.given.iter().filter_map(|grant| if let Grant::Http(grant) = grant { Some(grant) } else { None });
        let given: Vec<&HttpGrant> = given.filter(|grant| covers(grant)).collect();
        self.asked.http.iter().filter(|asked| covers(asked) && given.iter().any(|given| asked.gets_credentials_from(given))).collect()
    }

    /// The scopes that it may use the API with: of each that is asked for and each that was given the narrower one.
    /// Each pair is compared: whoever needs them often keeps them.
    #[must_use]
    pub fn api(&self) -> Vec<Scope> {
        let given = self.given.iter().filter_map(|grant| if let Grant::Api(grant) = grant { Some(grant) } else { None });
        let shared = given.flat_map(|given| self.asked.api.iter().flat_map(move |asked| asked.shared(given)));
        let all: BTreeSet<ApiGrant> = shared.collect();
        all.iter().map(ApiGrant::scope).collect()
    }

    /// Patterns that all variables are like that it may read. Where an asked and a given pattern cross, others are like them, too, so that each variable
    /// is looked at once more with [`Granted::covers`].
    #[must_use]
    pub fn variables(&self) -> Vec<PathPattern> {
        let given = self.given.iter().filter_map(|grant| if let Grant::Variables(pattern) = grant { Some(pattern) } else { None });
        let shared = given.flat_map(|given| self.asked.variables.iter().filter_map(move |asked| asked.shared(given).pop()));
        let all: BTreeSet<PathPattern> = shared.collect();
        let is_in_another = |pattern: &PathPattern| all.iter().any(|other| other.covers(pattern) && !pattern.covers(other));
        all.iter().filter(|pattern| !is_in_another(pattern)).cloned().collect()
    }
}
