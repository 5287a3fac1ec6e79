//! As whom a run acts, where somebody says so.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::people::{InvalidPerson, Name};

/// A user, a group or a service account of a workspace: `u/NAME`, `g/NAME` or `s/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RunAs {
    /// Only they themselves may say so.
    User(Name),
    /// Its members may.
    Group(Name),
    /// Those on its list may.
    ServiceAccount(Name),
}

impl RunAs {
    /// The service account of this name, if `identity` is one's.
    #[must_use]
    pub fn service_account(identity: &str) -> Option<Name> {
        identity.strip_prefix("s/").and_then(|name| name.parse().ok())
    }

    /// As a run's identity is kept.
    #[must_use]
    pub fn identity(&self) -> Arc<str> {
        self.to_string().into()
    }
}

impl FromStr for RunAs {
    type Err = InvalidPerson;

    fn from_str(text: &str) -> Result<Self, InvalidPerson> {
        match text.split_once('/') {
            // Not as strict as for new users: the operator's token is `u/admin`, which no user is called.
            Some(("u", name)) => name.parse().map(Self::User),
            Some(("g", name)) => name.parse().map(Self::Group),
            Some(("s", name)) => name.parse().map(Self::ServiceAccount),
            _ => Err(InvalidPerson("a user is written u/NAME, a group g/NAME, a service account s/NAME")),
        }
    }
}

impl fmt::Display for RunAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "u/{name}"),
            Self::Group(name) => write!(f, "g/{name}"),
            Self::ServiceAccount(name) => write!(f, "s/{name}"),
        }
    }
}

impl Serialize for RunAs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunAs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Manifest;

    #[test]
    fn identities_are_written_with_what_they_are() {
        for good in ["u/ann", "u/admin", "g/Ops", "s/deployer"] {
            let parsed: RunAs = good.parse().unwrap();
            assert_eq!((parsed.to_string().as_str(), &*parsed.identity()), (good, good));
            assert_eq!(RunAs::service_account(good).is_some(), good.starts_with("s/"));
        }
        for bad in ["", "ann", "u/", "s/a/b", "s/..", "f/a", "S/a", "s/a*", "s/a!b", " s/a", "s/a\0", "s/a:b"] {
            assert!(bad.parse::<RunAs>().is_err(), "{bad:?}");
        }
        assert_eq!(RunAs::service_account("s/../x"), None);
    }

    #[test]
    fn a_manifest_without_one_is_what_it_was() {
        let plain = serde_json::to_string(&Manifest::default()).unwrap();
        assert!(!plain.contains("run_as"), "{plain}");
        let named: Manifest = serde_json::from_str(r#"{"run_as": "s/deployer"}"#).unwrap();
        assert_eq!(named.run_as, Some("s/deployer".parse().unwrap()));
        assert!(serde_json::from_str::<Manifest>(r#"{"run_as": "deployer"}"#).is_err());
    }
}
