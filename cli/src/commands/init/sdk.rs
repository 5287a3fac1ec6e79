//! The SDKs that are copied into projects, for as long as no registry has them.

use toml::{Table, Value};

include!(concat!(env!("OUT_DIR"), "/sdks.rs"));

/// Where a project has its copy.
pub(crate) const SDK_FOLDER: &str = "sandmill-sdk";
/// Of the SDK's own workspace, which crates are copied beside the SDK itself.
const MEMBER: &str = "macros";
const MANIFEST: &str = "Cargo.toml";

type Files = Vec<(String, String)>;

pub(super) fn rust() -> Files {
    files(RUST, |name, text| if name == MANIFEST { manifest(text).unwrap_or_else(|| text.to_owned()) } else { text.to_owned() })
}

pub(super) fn go() -> Files {
    files(GO, |_, text| text.to_owned())
}

pub(super) fn c() -> Files {
    files(C, |_, text| text.to_owned())
}

/// Names relative to the project.
fn files(packed: &[(&str, &str)], text_of: impl Fn(&str, &str) -> String) -> Files {
    packed.iter().map(|(name, text)| (format!("{SDK_FOLDER}/{name}"), text_of(name, text))).collect()
}

/// The SDK's manifest without what it has for itself: examples, tests, and the profile that only its own builds use.
fn manifest(text: &str) -> Option<String> {
    let mut manifest: Table = toml::from_str(text).ok()?;
    manifest.remove("example");
    manifest.remove("profile");
    let package = manifest.get_mut("package")?.as_table_mut()?;
    for key in ["readme", "include"] {
        package.remove(key);
    }
    let workspace = manifest.get_mut("workspace")?.as_table_mut()?;
    workspace.insert("members".to_owned(), Value::Array(vec![MEMBER.into()]));
    for (_, target) in manifest.get_mut("target")?.as_table_mut()?.iter_mut() {
        if let Some(target) = target.as_table_mut() {
            target.remove("dev-dependencies");
        }
    }
    toml::to_string(&manifest).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(files: &Files, name: &str) -> bool {
        files.iter().any(|(file, _)| file == &format!("{SDK_FOLDER}/{name}"))
    }

    #[test]
    fn a_copy_has_what_a_build_needs_and_no_more() {
        for (files, inside) in [
            (rust(), &["Cargo.toml", "src/lib.rs", "macros/Cargo.toml", "macros/src/lib.rs", "wit/script/script.wit"][..]),
            (go(), &["go.mod", "sandmill.go", "state/state.go", "internal/abi/area_wasip1.go", "sandmilltest/sandmilltest.go"]),
            (c(), &["include/sandmill.h", "src/script.c", "src/internal.h", "bindings/imports.c", "fake/sandmill_fake.h"]),
        ] {
            for name in inside {
                assert!(has(&files, name), "{name} is missing");
            }
            let outside = |name: &str| ["/examples/", "/target/", "/tests/", "_test."].iter().any(|part| name.contains(part));
            let strange: Vec<_> = files.iter().map(|(name, _)| name).filter(|name| outside(name)).collect();
            assert!(strange.is_empty(), "{strange:?}");
            assert!(files.is_sorted(), "the same at each build");
        }
    }

    #[test]
    fn the_manifest_of_the_copy_stands_alone() {
        let (_, text) = rust().into_iter().find(|(name, _)| name == "sandmill-sdk/Cargo.toml").unwrap();
        let manifest: Table = toml::from_str(&text).unwrap();
        assert_eq!(manifest["workspace"]["members"], Value::Array(vec!["macros".into()]));
        assert!(!manifest.contains_key("example") && !manifest.contains_key("profile"), "{text}");
        assert!(!text.contains("trybuild"), "{text}");
        assert!(manifest["dependencies"].get("sandmill-macros").is_some() && manifest["workspace"].get("package").is_some(), "{text}");
    }
}
