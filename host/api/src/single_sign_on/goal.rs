//! Where a login goes on to: a page here, or a command on the machine of whoever logs in.

use sandmill_model::Digest;

/// Bytes of a path to go to.
const PATH_BYTES_MAX: usize = 1024;
/// Characters of a challenge: SHA-256 in hexadecimal.
const CHALLENGE_LENGTH: usize = 64;
/// Where a command listens: on the machine of the browser alone, whatever its names resolve to.
const LOOPBACKS: [&str; 2] = ["http://127.0.0.1:", "http://[::1]:"];
/// Characters of what follows there, which nobody guesses: any page may send a browser to any port of its own machine.
const SEGMENT_LENGTH: std::ops::RangeInclusive<usize> = 32..=64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// A path here.
    Page(String),
    Command(Command),
}

/// A command that waits for a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// `http://127.0.0.1:PORT/` or `http://[::1]:PORT/`, perhaps with one segment that nobody guesses
    pub(crate) loopback: String,
    /// Of a secret that only the command knows, see [`challenge`].
    pub(crate) challenge: String,
}

/// What a command shows of its secret: whoever sees it cannot tell the secret.
pub(crate) fn challenge(verifier: &str) -> String {
    Digest::of(verifier.as_bytes()).hex()
}

impl Goal {
    /// # Errors
    /// If it is no place here; whoever asks is told.
    pub(crate) fn page(path: &str) -> Result<Self, &'static str> {
        if is_local(path) {
            Ok(Self::Page(path.to_owned()))
        } else {
            Err("`return_to` is the path of a page here, like `/runs`, of at most 1024 characters")
        }
    }

    /// # Errors
    /// If it cannot be a command on the same machine; whoever asks is told.
    pub(crate) fn command(loopback: &str, challenge: &str) -> Result<Self, &'static str> {
        if !is_loopback(loopback) {
            return Err(
                "`loopback` is `http://127.0.0.1:PORT/` or `http://[::1]:PORT/`, and behind that nothing or 32 to 64 of a-z and 0-9",
            );
        }
        if challenge.len() != CHALLENGE_LENGTH || !challenge.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err("`challenge` is the SHA-256 of the verifier, 64 digits in hexadecimal");
        }
        Ok(Self::Command(Command { loopback: loopback.to_owned(), challenge: challenge.to_owned() }))
    }

    /// As the cookie has it. No path has a space.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Page(path) => path.clone(),
            Self::Command(Command { loopback, challenge }) => format!("{loopback} {challenge}"),
        }
    }

    /// What [`Self::text`] gave, checked again: a browser may send what it likes.
    pub(super) fn read(text: &str) -> Option<Self> {
        match text.split_once(' ') {
            Some((loopback, challenge)) => Self::command(loopback, challenge).ok(),
            None => Self::page(text).ok(),
        }
    }
}

impl Command {
    /// Where it listens, without what nobody else is to know.
    pub(crate) fn address(&self) -> &str {
        self.loopback.rfind('/').and_then(|end| self.loopback.get(..=end)).unwrap_or_default()
    }

    /// What the command shows, too, so that a person can tell theirs from others.
    pub(crate) fn check(&self) -> String {
        let (one, other) = (self.challenge.get(..4), self.challenge.get(4..8));
        format!("{}-{}", one.unwrap_or_default(), other.unwrap_or_default())
    }
}

/// Whether a browser that is sent there stays at this host: `//other.test` and `/\other.test` are others'.
fn is_local(path: &str) -> bool {
    let mut bytes = path.bytes();
    path.len() <= PATH_BYTES_MAX
        && bytes.next() == Some(b'/')
        && !matches!(bytes.next(), Some(b'/' | b'\\'))
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

/// To the letter: nothing is parsed that a browser could parse in another way.
fn is_loopback(place: &str) -> bool {
    let rest = LOOPBACKS.into_iter().find_map(|begin| place.strip_prefix(begin));
    let Some((port, segment)) = rest.and_then(|rest| rest.split_once('/')) else { return false };
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0') && port.parse::<u16>().is_ok();
    is_port && (segment.is_empty() || is_segment(segment))
}

fn is_segment(text: &str) -> bool {
    SEGMENT_LENGTH.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_host_are_gone_to() {
        for (path, expected) in [
            ("/", true),
            ("/runs?path=f/a&b=%20#x", true),
            ("", false),
            ("runs", false),
            ("//evil.test", false),
            ("/\\evil.test", false),
            ("/a\\b", false),
            ("/\t/evil.test", false),
            ("https://evil.test", false),
            ("http://127.0.0.1:1/", false),
            ("/a b", false),
            ("/\r\nset-cookie: a=b", false),
            ("/ü", false),
            (&*format!("/{}", "x".repeat(1024)), false),
        ] {
            assert_eq!(Goal::page(path).is_ok(), expected, "{path:?}");
        }
    }

    #[test]
    fn only_this_machine_is_handed_a_login() {
        let right = challenge("a secret");
        let segment = "0a".repeat(16);
        let with = |segment: &str| format!("http://127.0.0.1:80/{segment}");
        for place in ["http://127.0.0.1:1/", "http://127.0.0.1:65535/", "http://[::1]:4711/", &with(&segment), &with(&segment.repeat(2))] {
            let goal = Goal::command(place, &right).unwrap();
            assert_eq!(Goal::read(&goal.text()), Some(goal), "{place}");
        }
        for place in [
            "",
            "/",
            "http://127.0.0.1/",
            "http://127.0.0.1:/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:080/",
            "http://127.0.0.1:+80/",
            "http://127.0.0.1:65536/",
            "http://127.0.0.1:80",
            "http://127.0.0.1:80/x",
            "http://127.0.0.1:80@evil.test/",
            "http://127.0.0.1:80/@evil.test/",
            "http://127.0.0.1.evil.test:80/",
            "http://127.0.0.2:80/",
            "http://0.0.0.0:80/",
            "http://localhost:80/",
            "http://[::]:80/",
            "https://127.0.0.1:80/",
            "http://evil.test/",
            " http://127.0.0.1:80/",
            "http://127.0.0.1:80/ ",
            "javascript:alert(1)//",
            &with(&segment[1..]),
            &with(&format!("{segment}{segment}0")),
            &with(&format!("{segment}/")),
            &with(&format!("{segment}?")),
            &with(&format!("{segment}#")),
            &with(&format!("{segment}.")),
            &with(&format!("{segment}%61")),
            &with(&format!("/{segment}")),
            &with(&format!("@{segment}")),
            &with(&segment.to_uppercase()),
        ] {
            assert!(Goal::command(place, &right).is_err() && Goal::read(&format!("{place} {right}")).is_none(), "{place:?}");
        }
        for challenge in ["", "a", &right[1..], &right.to_uppercase(), &format!("{right}0"), &"ü".repeat(32)] {
            assert!(Goal::command("http://127.0.0.1:80/", challenge).is_err(), "{challenge:?}");
        }
        let Goal::Command(command) = Goal::command("http://127.0.0.1:80/", &"0123456789abcdef".repeat(4)).unwrap() else { panic!() };
        assert_eq!((command.check().as_str(), command.address()), ("0123-4567", "http://127.0.0.1:80/"));
        let Goal::Command(command) = Goal::command(&with(&segment), &right).unwrap() else { panic!() };
        assert_eq!(command.address(), "http://127.0.0.1:80/");
    }
}
