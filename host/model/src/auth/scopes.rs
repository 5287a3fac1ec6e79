//! What one caller may: what a list of scopes covers, or what two lists do.

use super::{Action, Domain, Scope, SharedScopes};

/// What one caller may. Of two lists both must cover it: those of a run are what its script was granted and what whom it acts as may. No
/// list is made of the two, for it could have as many entries as one of them times the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    own: SharedScopes,
    within: Option<SharedScopes>,
}

impl From<SharedScopes> for Scopes {
    fn from(own: SharedScopes) -> Self {
        Self { own, within: None }
    }
}

impl From<Vec<Scope>> for Scopes {
    fn from(own: Vec<Scope>) -> Self {
        Self { own: own.into(), within: None }
    }
}

impl<const N: usize> From<[Scope; N]> for Scopes {
    fn from(own: [Scope; N]) -> Self {
        Self { own: own.into(), within: None }
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(own: I) -> Self {
        Self { own: own.into_iter().collect(), within: None }
    }
}

impl Scopes {
    /// What both lists cover.
    #[must_use]
    pub fn of_both(own: SharedScopes, within: SharedScopes) -> Self {
        Self { own, within: Some(within) }
    }

    /// The list that says all; none: there are two.
    #[must_use]
    pub fn one_list(&self) -> Option<&[Scope]> {
        if self.within.is_none() { Some(&self.own) } else { None }
    }

    /// Nothing may be done but what each of them covers.
    pub(super) fn lists(&self) -> impl Iterator<Item = &[Scope]> {
        self.within.iter().chain(std::iter::once(&self.own)).map(|list| &**list)
    }

    /// See [`Scope::covers`].
    pub(super) fn covers(&self, domain: Domain, action: Action, path: Option<&str>) -> bool {
        self.lists().all(|list| list.iter().any(|scope| scope.covers(domain, action, path)))
    }

    /// Whether each list covers `action` on some path at least, which need not be the same.
    pub(super) fn concerns(&self, domain: Domain, action: Action) -> bool {
        self.lists().all(|list| list.iter().any(|scope| scope.concerns(domain, action)))
    }

    /// Whether all that `scopes` cover is covered by one scope of each list.
    pub(super) fn includes(&self, scopes: &[Scope]) -> bool {
        self.lists().all(|list| scopes.iter().all(|scope| list.iter().any(|own| own.includes(scope))))
    }

    /// See [`super::Principal::paths`].
    pub(super) fn paths(&self, domain: Domain, action: Action) -> Vec<Vec<String>> {
        // One without a pattern covers all, and its list says nothing.
        let reaches = |list: &[Scope]| -> Option<Vec<String>> {
            list.iter().filter(|scope| scope.concerns(domain, action)).map(Scope::reach).collect()
        };
        self.lists().filter_map(reaches).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        auth::{Principal, reaches},
        clock::Timestamp,
        ids::{TokenId, WorkspaceId},
    };

    fn list(texts: &[&str]) -> SharedScopes {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn principal(workspace: Option<WorkspaceId>, scopes: Scopes) -> Principal {
        Principal { token: TokenId::new(Timestamp::from_micros(0)), workspace, identity: "u/ann".into(), scopes }
    }

    /// By what is bounded nothing may be done that either list does not allow.
    #[test]
    fn both_lists_must_allow_it() {
        let own = list(&["runs:start:f/*!f/closed/", "runs:read:f/*", "runs:start:u/ann/*", "scripts:read:f/open/*", "runs:write:f/a*"]);
        let bounds = list(&["runs:start:*", "runs:read:f/open/*", "scripts:write:f/open/*", "runs:write:f/*b"]);
        let workspace = WorkspaceId::new(Timestamp::from_micros(0));
        let of = |scopes: Scopes| principal(Some(workspace), scopes);
        for (one, other) in [(&own, &bounds), (&bounds, &own)] {
            let both = of(Scopes::of_both(Arc::clone(one), Arc::clone(other)));
            let (one, other) = (of(Arc::clone(one).into()), of(Arc::clone(other).into()));
            for action in [Action::Read, Action::Write, Action::Start, Action::Cancel] {
                for domain in [Domain::Runs, Domain::Scripts, Domain::Instance] {
                    let may = |principal: &Principal, path| principal.may(workspace, domain, action, path);
                    let (texts, mut is_somewhere) = (both.paths(workspace, domain, action), false);
                    for path in ["f/open/x", "f/closed/x", "u/ann/x", "u/bob/x", "f/ab", "f/ac"] {
                        let expected = may(&one, Some(path)) && may(&other, Some(path));
                        assert_eq!(may(&both, Some(path)), expected, "{domain:?} {action:?} {path}");
                        let is_meant = texts.iter().all(|list| list.iter().any(|reach| reaches(reach, path)));
                        assert_eq!(is_meant, expected, "{domain:?} {action:?} {path}: {texts:?}");
                        is_somewhere |= expected;
                    }
                    assert_eq!(may(&both, None), may(&one, None) && may(&other, None));
                    assert!(both.may_somewhere(workspace, domain, action) || !is_somewhere, "{domain:?} {action:?}");
                }
            }
        }
        for nothing in [Scopes::of_both(own, list(&[])), Scopes::of_both(list(&[]), bounds), Scopes::default()] {
            let nobody = of(nothing);
            assert!(!nobody.may(workspace, Domain::Runs, Action::Read, Some("f/open/x")));
            assert!(!nobody.may_somewhere(workspace, Domain::Runs, Action::Read));
            assert!(nobody.paths(workspace, Domain::Runs, Action::Read).iter().any(Vec::is_empty));
        }
    }

    #[test]
    fn both_lists_must_have_what_is_handed_on() {
        let check = |own: &[&str], within: &[&str], given: &[&str], expected: bool| {
            let (own, within) = (list(own), list(within));
            for scopes in [Scopes::of_both(Arc::clone(&own), Arc::clone(&within)), Scopes::of_both(within, own)] {
                assert_eq!(principal(None, scopes).includes(&list(given)), expected, "{given:?}");
            }
        };
        check(&["*:*"], &["runs:start:f/*"], &["runs:start:f/a"], true);
        check(&["*:*"], &["runs:start:f/*"], &["runs:read:f/a"], false);
        check(&["*:*"], &["runs:start:f/*"], &["runs:start:f/a", "runs:start:u/a"], false);
        check(&["runs:start:f/*!f/a/"], &["runs:*"], &["runs:start:f/*"], false);
        check(&["runs:*"], &["runs:*"], &["runs:start:f/*"], true);
        check(&["*:*"], &[], &["runs:start:f/*"], false);
    }

    #[test]
    fn both_lists_must_allow_what_is_of_the_installation() {
        let (all, some) = (list(&["*:*"]), list(&["runs:*"]));
        let of = |own: &SharedScopes, within: &SharedScopes| principal(None, Scopes::of_both(Arc::clone(own), Arc::clone(within)));
        assert!(of(&all, &all).may_instance(Action::Write) && of(&all, &all).may_audit_instance());
        for less in [of(&all, &some), of(&some, &all)] {
            assert!(!less.may_instance(Action::Write) && !less.may_audit_instance());
            assert!(less.may_everywhere(Domain::Runs, Action::Read));
        }
        let starts = list(&["runs:start:f/a/b"]);
        assert!(of(&all, &starts).only_starts_one() && of(&starts, &all).only_starts_one() && !of(&all, &some).only_starts_one());
    }

    /// Whoever is on hundreds of lists has thousands of scopes: neither list is copied, and no other is made of them.
    #[test]
    fn two_lists_take_no_more_than_each() {
        let of_many = |count: usize| -> SharedScopes { (0..count).map(|n| format!("runs:start:f/a/{n}").parse().unwrap()).collect() };
        let (own, within) = (of_many(8_043), of_many(64));
        let both = Scopes::of_both(Arc::clone(&own), Arc::clone(&within));
        assert!(both.covers(Domain::Runs, Action::Start, Some("f/a/63")) && !both.covers(Domain::Runs, Action::Start, Some("f/a/64")));
        assert_eq!((Arc::strong_count(&own), Arc::strong_count(&within)), (2, 2));
        assert_eq!(both.paths(Domain::Runs, Action::Start).iter().map(Vec::len).collect::<Vec<_>>(), [64, 8_043]);
        assert!(both.one_list().is_none());
        assert_eq!(Scopes::from(Arc::clone(&own)).one_list(), Some(&*own));
    }
}
