//! What a node is for.

/// Nodes of one installation may share the work by role; all together they need both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    #[default]
    All,
    /// Answers requests; runs execute elsewhere.
    Api,
    /// Executes runs. It answers requests too, for whoever reaches it.
    Worker,
}

impl Role {
    /// # Errors
    /// The names that there are.
    pub fn from_name(name: &str) -> Result<Self, String> {
        match name {
            "all" => Ok(Self::All),
            "api" => Ok(Self::Api),
            "worker" => Ok(Self::Worker),
            _ => Err("a role is `all`, `api` or `worker`".to_owned()),
        }
    }

    /// Whether runs execute here.
    #[must_use]
    pub const fn executes(self) -> bool {
        !matches!(self, Self::Api)
    }

    pub(crate) fn names(self) -> Vec<String> {
        let names: &[&str] = match self {
            Self::All => &["api", "worker"],
            Self::Api => &["api"],
            Self::Worker => &["worker"],
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }
}
