//! How far an upload is, on one line.

use std::time::Duration;

use super::clean_line;

const MEGABYTE: u64 = 1_000_000;
/// A push that is over sooner needs no words.
const QUIET: Duration = Duration::from_millis(500);
const NAME_CHARACTERS_MAX: usize = 30;

/// What is known of an upload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upload<'a> {
    pub(crate) name: &'a str,
    pub(crate) sent_bytes: u64,
    pub(crate) total_bytes: u64,
    /// Since it began.
    pub(crate) elapsed: Duration,
    /// Since all of it was sent.
    pub(crate) compiling: Option<Duration>,
}

/// None where nothing is to be shown yet.
pub(crate) fn upload(upload: &Upload<'_>) -> Option<String> {
    let Upload { name, sent_bytes, total_bytes, elapsed, compiling } = *upload;
    if total_bytes < MEGABYTE && elapsed < QUIET {
        return None;
    }
    let name: String = clean_line(name).chars().take(NAME_CHARACTERS_MAX).collect();
    let what = match compiling {
        Some(since) => format!("compiling on the server, {} s", since.as_secs()),
        None => format!("{} of {} MB sent", megabytes(sent_bytes), megabytes(total_bytes)),
    };
    Some(format!("push {name}: {what}"))
}

/// With one decimal, never more than there are.
fn megabytes(bytes: u64) -> String {
    format!("{}.{}", bytes / MEGABYTE, bytes % MEGABYTE / (MEGABYTE / 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let line = |sent_bytes: u64, total_bytes: u64, elapsed_ms: u64, compiling_ms: Option<u64>| {
            let (elapsed, compiling) = (Duration::from_millis(elapsed_ms), compiling_ms.map(Duration::from_millis));
            upload(&Upload { name: "hello.wasm", sent_bytes, total_bytes, elapsed, compiling }).unwrap_or_default()
        };
        for (shown, expected) in [
            (line(12_400_000, 18_912_345, 0, None), "push hello.wasm: 12.4 of 18.9 MB sent"),
            (line(0, 1_000_000, 0, None), "push hello.wasm: 0.0 of 1.0 MB sent"),
            (line(999_999, 999_999, 499, Some(400)), ""),
            (line(0, 999_999, 500, None), "push hello.wasm: 0.0 of 0.9 MB sent"),
            (line(10, 10, 7_900, Some(7_800)), "push hello.wasm: compiling on the server, 7 s"),
        ] {
            assert_eq!(shown, expected);
        }
        let name = format!("\u{1b}{}", "x".repeat(1_000));
        let upload = Upload { name: &name, sent_bytes: 0, total_bytes: MEGABYTE, elapsed: QUIET, compiling: None };
        let shown = super::upload(&upload).unwrap();
        assert!(shown.chars().count() < 70 && !shown.contains('\u{1b}'), "{shown}");
    }
}
