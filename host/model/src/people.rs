//! People: names of users, groups and folders, and what lists of a path say of them.

use std::{fmt, str::FromStr, sync::Arc};

use crate::path::SEGMENT_BYTES_MAX;

/// Characters of the name that people see of a user.
pub const DISPLAY_NAME_CHARS_MAX: usize = 200;
/// Bytes of an e-mail address (RFC 5321).
const EMAIL_BYTES_MAX: usize = 254;

/// Name of a user, a group or a folder: one segment of a path. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Why a text is not what it should be; for whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPerson(pub &'static str);

/// As whom others act: the operator's token, and files that run without a server.
const RESERVED: [&str; 2] = ["admin", "local"];

impl Name {
    /// That of a user has no capital letters: two people must not look like one.
    ///
    /// # Errors
    /// If it is none.
    pub fn of_user(text: &str) -> Result<Self, InvalidPerson> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(InvalidPerson("the name of a user has no capital letters"));
        }
        if RESERVED.contains(&text) {
            return Err(InvalidPerson("no user can have this name"));
        }
        text.parse()
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As whom a user of this name acts: `u/NAME`.
    #[must_use]
    pub fn identity(&self) -> Arc<str> {
        format!("u/{self}").into()
    }
}

impl FromStr for Name {
    type Err = InvalidPerson;

    fn from_str(text: &str) -> Result<Self, InvalidPerson> {
        let is_segment = (1..=SEGMENT_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
            && text != "."
            && text != "..";
        if is_segment { Ok(Self(text.into())) } else { Err(InvalidPerson("a name has 1 to 64 letters, digits, `_`, `.` or `-`")) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The address in lower case, as it is kept and looked up. It has ASCII alone: other letters may look like these, or become them in lower
/// case (U+212A becomes `k`).
///
/// # Errors
/// If it is none.
pub fn check_email(text: &str) -> Result<String, InvalidPerson> {
    let text = text.trim();
    let is_address = text.len() <= EMAIL_BYTES_MAX
        && text.is_ascii()
        && !text.contains(|char: char| char.is_whitespace() || char.is_control())
        && text.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
    if is_address { Ok(text.to_ascii_lowercase()) } else { Err(InvalidPerson("that is no e-mail address")) }
}

/// # Errors
/// If it is too long or has control characters.
pub fn check_display_name(text: &str) -> Result<(), InvalidPerson> {
    if text.chars().count() > DISPLAY_NAME_CHARS_MAX || text.contains(char::is_control) {
        return Err(InvalidPerson("a display name has at most 200 characters, and none that control a terminal"));
    }
    Ok(())
}

/// Of whom a list speaks: `u/NAME` or `g/NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    User(Name),
    Group(Name),
}

impl FromStr for Who {
    type Err = InvalidPerson;

    fn from_str(text: &str) -> Result<Self, InvalidPerson> {
        match text.split_once('/') {
            Some(("u", name)) => Name::of_user(name).map(Self::User),
            Some(("g", name)) => name.parse().map(Self::Group),
            _ => Err(InvalidPerson("somebody is written u/NAME, a group g/NAME")),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "u/{name}"),
            Self::Group(name) => write!(f, "g/{name}"),
        }
    }
}

/// What a list gives, the greater with the lesser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Reads and, if the role does, starts and cancels.
    Reader,
    /// Changes, too.
    Writer,
    /// Says who the others are, too.
    Owner,
}

impl Level {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Owner => "owner",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        for (text, is_name, is_user) in [
            ("ann", true, true),
            ("Ann", true, false),
            ("admin", true, false),
            ("a.b-c_1", true, true),
            (&*"x".repeat(64), true, true),
            (&*"x".repeat(65), false, false),
            ("", false, false),
            (".", false, false),
            ("..", false, false),
            ("a/b", false, false),
            ("a*", false, false),
            ("a!b", false, false),
            ("ü", false, false),
            ("a@b", false, false),
        ] {
            assert_eq!((text.parse::<Name>().is_ok(), Name::of_user(text).is_ok()), (is_name, is_user), "{text:?}");
        }
        assert_eq!(check_email(" Ann@Example.test "), Ok("ann@example.test".to_owned()));
        for bad in
            ["ann", "@b", "a@", "a@b@c", "a b@c", "a@b\n@c", "\u{212a}@b", "ann@ex\u{e4}mple.test", &format!("{}@b", "x".repeat(254))]
        {
            assert!(check_email(bad).is_err(), "{bad:?}");
        }
        for (text, is_fine) in [("u/ann", true), ("g/Ops", true), ("u/Ann", false), ("f/x", false), ("ann", false), ("u/", false)] {
            assert_eq!(text.parse::<Who>().map(|who| who.to_string()).is_ok_and(|shown| shown == text), is_fine, "{text}");
        }
        assert!(check_display_name("Ann ✓").is_ok() && check_display_name("a\u{1b}[2J").is_err());
    }
}
