//! `cargo xtask codegen`: files that the binary writes about itself, checked in and kept fresh.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::{
    exec::{self, cargo, command},
    test,
    tree::root,
};

/// What `sandmill generate` is asked for, and where it is kept.
const GENERATED: &[(&str, &str)] =
    &[("openapi", "host/api/openapi.json"), ("cli", "docs/cli.md"), ("manifest-schema", "docs/manifest.schema.json")];

/// What gives parts of pages, by page: the rest of each is written by people.
const PARTS: &str = "trigger-docs";
/// Around such a part.
const PART_BEGINS: &str = "<!-- Made by `cargo xtask codegen` -->";
const PART_ENDS: &str = "<!-- So far -->";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Write,
    Check,
}

/// Builds the binary and compares or writes what it generates.
///
/// # Errors
/// If it does not build, or a file is not fresh.
pub fn run(mode: Mode) -> Result<()> {
    exec::run(cargo().args(["build", "--quiet", "--profile", test::PROFILE, "--package", "sandmill"]))?;
    let binary = test::binary()?;
    let mut stale = Vec::new();
    let mut files: Vec<(String, String)> = Vec::new();
    for (what, path) in GENERATED {
        files.push(((*path).to_owned(), exec::read(command(&binary).args(["generate", what]))?));
    }
    let parts = exec::read(command(&binary).args(["generate", PARTS]))?;
    let parts: BTreeMap<String, String> = serde_json::from_str(&parts).context("what the binary says of kinds of trigger")?;
    for (path, part) in parts {
        let present = fs::read_to_string(root().join(&path)).unwrap_or_else(|_| titled(&path));
        files.push((path, with_part(&present, &part)));
    }
    for (path, fresh) in files {
        let file = root().join(&path);
        if fs::read_to_string(&file).is_ok_and(|kept| kept == fresh) {
            continue;
        }
        match mode {
            Mode::Check => stale.push(path),
            Mode::Write => {
                if let Some(folder) = file.parent() {
                    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder of {path}"))?;
                }
                fs::write(&file, fresh).with_context(|| format!("cannot write {path}"))?;
                eprintln!("wrote {path}");
            }
        }
    }
    if !stale.is_empty() {
        bail!("not fresh: {}; run `cargo xtask codegen` and commit what it writes", stale.join(", "));
    }
    Ok(())
}

/// A page that nobody has begun to write.
fn titled(path: &str) -> String {
    let name = Path::new(path).file_stem().unwrap_or_default().to_string_lossy();
    format!("# {name}\n")
}

/// A page with the part in the place of the one that it has, else behind all else.
fn with_part(page: &str, part: &str) -> String {
    let part = format!("{PART_BEGINS}\n\n{}\n\n{PART_ENDS}", part.trim());
    let place = page.split_once(PART_BEGINS).and_then(|(before, rest)| Some((before, rest.split_once(PART_ENDS)?.1)));
    match place {
        Some((before, after)) => format!("{before}{part}{after}"),
        None => format!("{}\n\n{part}\n", page.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_put_where_it_was() {
        let once = with_part("# page\n\nWords.\n", "| a |\n");
        assert_eq!(once, format!("# page\n\nWords.\n\n{PART_BEGINS}\n\n| a |\n\n{PART_ENDS}\n"));
        assert_eq!(with_part(&once, "| a |"), once, "the same again changes nothing");
        let more = once.replace("Words.", "More words.") + "\nAnd an end.\n";
        let again = with_part(&more, "| b |");
        assert!(again.contains("More words.") && again.contains("| b |") && !again.contains("| a |") && again.ends_with("And an end.\n"));
        assert_eq!(titled("docs/triggers/x.md"), "# x\n");
    }
}
