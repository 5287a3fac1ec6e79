//! Lists of single paths. Things that have the same path, a script and the resource that it uses among them, are told apart by kind: an
//! entry gives somebody a level on all that is at the path, or on what is of one kind.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::{
    auth::Domain,
    people::{InvalidPerson, Level, Who},
};

/// What is at a path, as people share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ItemKind {
    /// The script, and its runs.
    Scripts,
    Resources,
    Variables,
    /// The object whose key is the path.
    Blobs,
    /// The trigger, and what it keeps of its events.
    Triggers,
}

impl ItemKind {
    pub const ALL: [Self; 5] = [Self::Scripts, Self::Resources, Self::Variables, Self::Blobs, Self::Triggers];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scripts => "scripts",
            Self::Resources => "resources",
            Self::Variables => "variables",
            Self::Blobs => "blobs",
            Self::Triggers => "triggers",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The kind that a domain is about; none where nothing is at paths that is shared.
    #[must_use]
    pub const fn of(domain: Domain) -> Option<Self> {
        match domain {
            Domain::Scripts | Domain::Runs => Some(Self::Scripts),
            Domain::Resources => Some(Self::Resources),
            Domain::Variables => Some(Self::Variables),
            Domain::Blobs => Some(Self::Blobs),
            Domain::Triggers => Some(Self::Triggers),
            _ => None,
        }
    }
}

/// Of whom and what an entry speaks: `u/ann`, or `u/ann:scripts`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    pub who: Who,
    /// None: all that is at the path.
    pub kind: Option<ItemKind>,
}

/// The list of a single path: each entry once.
pub type ItemList = BTreeMap<Entry, Level>;

impl From<Who> for Entry {
    fn from(who: Who) -> Self {
        Self { who, kind: None }
    }
}

impl FromStr for Entry {
    type Err = InvalidPerson;

    fn from_str(text: &str) -> Result<Self, InvalidPerson> {
        let Some((who, kind)) = text.split_once(':') else { return text.parse::<Who>().map(Self::from) };
        let kind = ItemKind::from_name(kind).ok_or(InvalidPerson(
            "what is shared at a path is `scripts`, `resources`, `variables`, `blobs` or `triggers`, or all without `:`",
        ))?;
        Ok(Self { who: who.parse()?, kind: Some(kind) })
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.who)?;
        self.kind.map_or(Ok(()), |kind| write!(f, ":{}", kind.name()))
    }
}

/// What the list of a path gives one member, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lent([Option<Level>; ItemKind::ALL.len()]);

impl Lent {
    /// With what one more entry gives: of several the greatest counts.
    #[must_use]
    pub fn with(mut self, kind: Option<ItemKind>, level: Level) -> Self {
        for (own, given) in ItemKind::ALL.into_iter().zip(&mut self.0) {
            if kind.is_none_or(|kind| kind == own) {
                *given = (*given).max(Some(level));
            }
        }
        self
    }

    #[must_use]
    pub fn level(self, domain: Domain) -> Option<Level> {
        let kind = ItemKind::of(domain)?;
        ItemKind::ALL.into_iter().zip(self.0).find(|(own, _)| *own == kind).and_then(|(_, level)| level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_as_they_are_shown() {
        for (text, is_fine) in [
            ("u/ann", true),
            ("g/Ops", true),
            ("u/ann:scripts", true),
            ("g/ops:resources", true),
            ("u/ann:variables", true),
            ("u/ann:blobs", true),
            ("u/ann:triggers", true),
            ("u/ann:", false),
            ("u/ann:runs", false),
            ("u/ann:Scripts", false),
            ("u/ann:scripts:blobs", false),
            (":scripts", false),
            ("scripts", false),
            ("u/Ann:scripts", false),
        ] {
            assert_eq!(text.parse::<Entry>().is_ok_and(|entry| entry.to_string() == text), is_fine, "{text:?}");
        }
    }

    #[test]
    fn of_several_entries_the_greatest_counts() {
        let lent = Lent::default().with(Some(ItemKind::Scripts), Level::Writer);
        assert_eq!((lent.level(Domain::Scripts), lent.level(Domain::Runs)), (Some(Level::Writer), Some(Level::Writer)));
        for domain in [Domain::Resources, Domain::Variables, Domain::Blobs, Domain::Triggers, Domain::Members, Domain::Identities] {
            assert_eq!(lent.level(domain), None, "{domain:?}");
        }
        let lent = lent.with(None, Level::Reader);
        assert_eq!((lent.level(Domain::Scripts), lent.level(Domain::Blobs)), (Some(Level::Writer), Some(Level::Reader)));
        assert_eq!(lent.level(Domain::Members), None);
    }
}
