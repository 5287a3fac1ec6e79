//! What esbuild says, as faults in sources.

use std::{fs, path::Path};

use sandmill_model::build::Diagnostic;

use super::{
    folder_of,
    imports::{Found, Import},
    metafile::{is_brought, plain},
    name,
};

const MARK: &str = "[ERROR] ";
/// How esbuild calls the module that it begins with.
const ENTRY: &str = "<stdin>";
const NODE_HELP: &str = "Node's own modules do not exist in the sandbox; web APIs such as fetch, crypto and TextEncoder do, and so does the module \"sandmill\"";
/// Characters of a source line that are kept.
const LINE_CHARACTERS_MAX: usize = 500;

/// One of its messages.
#[derive(Debug, Default, PartialEq, Eq)]
struct Message {
    text: String,
    /// File, line from 1, and bytes before it in the line.
    place: Option<(String, usize, usize)>,
    notes: Vec<String>,
}

pub(super) fn diagnostics(file: &Path, text: &str, found: &Found, said: &str) -> Vec<Diagnostic> {
    messages(said).iter().map(|message| diagnostic(file, text, found, message)).collect()
}

/// ```text
/// ✘ [ERROR] Could not resolve "fs"
///
///     lib/text.ts:1:15:
///       1 │ import fs from "fs";
///         ╵                ~~~~
///
///   The package "fs" wasn't found on the file system but is built into node.
/// ```
fn messages(said: &str) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    for line in said.lines() {
        if let Some((_, text)) = line.split_once(MARK).filter(|(before, _)| before.trim().chars().count() <= 1) {
            messages.push(Message { text: text.trim().to_owned(), ..Message::default() });
            continue;
        }
        let Some(message) = messages.last_mut() else { continue };
        let inner = line.trim_start();
        match line.len() - inner.len() {
            4 if message.place.is_none() && message.notes.is_empty() => message.place = place(inner),
            2 => message.notes.push(inner.to_owned()),
            _ => {}
        }
    }
    messages
}

/// `lib/text.ts:1:15:`
fn place(text: &str) -> Option<(String, usize, usize)> {
    let (text, column) = text.strip_suffix(':')?.rsplit_once(':')?;
    let (file, line) = text.rsplit_once(':')?;
    Some((file.to_owned(), line.parse().ok()?, column.parse().ok()?))
}

fn diagnostic(file: &Path, text: &str, found: &Found, message: &Message) -> Diagnostic {
    let first = found.imports.first();
    let Some((named, line, column)) = &message.place else {
        return at(&name(file), text, first.map_or(0, |import| import.place), &message.text, message.help(file, first).as_deref());
    };
    if named == ENTRY {
        let import = found.imports.get(line.saturating_sub(1)).or(first);
        let offset = import.map_or(0, |import| import.place);
        return at(&name(file), text, offset, &message.text, message.help(file, import).as_deref());
    }
    // A namespace of a plugin, or of esbuild itself, is no file, and is shown as it is called.
    let path = plain(&folder_of(file).join(named));
    let (shown, source) = match fs::read(&path) {
        Ok(bytes) => (path.display().to_string(), String::from_utf8_lossy(&bytes).into_owned()),
        Err(_) => (named.clone(), String::new()),
    };
    let source_line = source.split('\n').nth(line.saturating_sub(1)).unwrap_or_default().trim_end_matches('\r');
    let before = source_line.get(..*column).map_or(*column, |before| before.chars().count());
    Diagnostic {
        file: shown,
        line: count(*line),
        column: count(before + 1),
        message: message.text.clone(),
        source_line: source_line.chars().take(LINE_CHARACTERS_MAX).collect(),
        help: message.help(file, None),
    }
}

impl Message {
    /// What to do here; of what esbuild advises only what does not speak of its own options.
    fn help(&self, file: &Path, import: Option<&Import>) -> Option<String> {
        let missing = self.text.strip_prefix("Could not resolve \"").and_then(|rest| rest.strip_suffix('"'));
        let is_nodes =
            missing.is_some_and(|module| module.starts_with("node:")) || self.notes.iter().any(|note| note.contains("built into node"));
        if is_nodes {
            let brought = self.place.as_ref().is_some_and(|(named, ..)| is_brought(Path::new(named)));
            let more = if brought { "; look for a package that works in browsers or workers" } else { "" };
            return Some(format!("{NODE_HELP}{more}"));
        }
        if let Some(module) = missing {
            return not_found(file, module, &self.notes);
        }
        if self.text.starts_with("Top-level await") {
            return Some("await inside of a function that `main` calls".to_owned());
        }
        if self.text.starts_with("No matching export") && import.is_some() {
            return Some("if it is a type, import it with `import type`".to_owned());
        }
        let notes: Vec<&str> = self.notes.iter().map(String::as_str).filter(|note| !note.contains("--")).collect();
        if notes.is_empty() { None } else { Some(notes.join(" ")) }
    }
}

fn not_found(file: &Path, module: &str, notes: &[String]) -> Option<String> {
    if module.starts_with('.') || module.starts_with('/') {
        return None;
    }
    let parts = if module.starts_with('@') { 2 } else { 1 };
    let package = module.split('/').take(parts).collect::<Vec<_>>().join("/");
    let folder = std::path::absolute(folder_of(file)).ok()?;
    if folder.ancestors().any(|folder| folder.join("node_modules").join(&package).is_dir()) {
        let about: Vec<&str> = notes.iter().map(String::as_str).filter(|note| !note.contains("external")).collect();
        return Some(if about.is_empty() { format!("the package {package} has nothing of that name") } else { about.join(" ") });
    }
    let holds = |folder: &Path| fs::read_to_string(folder.join("package.json")).is_ok_and(|text| text.contains(&format!("\"{package}\"")));
    if folder.ancestors().any(holds) {
        return Some(format!("package.json names {package}, but it is not installed: run `npm install`"));
    }
    Some(format!("install it with `npm install {package}`"))
}

/// A fault at an offset of the script.
pub(super) fn at(file: &str, text: &str, offset: usize, message: &str, help: Option<&str>) -> Diagnostic {
    let before = text.get(..offset).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = text.get(start..).unwrap_or_default().split('\n').next().unwrap_or_default();
    Diagnostic {
        file: file.to_owned(),
        line: count(before.matches('\n').count() + 1),
        column: count(before.get(start..).unwrap_or_default().chars().count() + 1),
        message: message.to_owned(),
        source_line: line.trim_end_matches('\r').chars().take(LINE_CHARACTERS_MAX).collect(),
        help: help.map(str::to_owned),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read() {
        let said = "✘ [ERROR] Could not resolve \"fs\"\n\n    lib/a.ts:1:15:\n      1 │ import fs from \"fs\";\n        ╵                ~~~~\n\n  \
                    The package \"fs\" wasn't found on the file system but is built into node.\n\n✘ [ERROR] Unexpected \";\"\n\n    \
                    <stdin>:2:3:\n      2 │ x\n        ╵ ^\n\n2 errors\n";
        let notes = vec!["The package \"fs\" wasn't found on the file system but is built into node.".to_owned()];
        let expected = [
            Message { text: "Could not resolve \"fs\"".to_owned(), place: Some(("lib/a.ts".to_owned(), 1, 15)), notes },
            Message { text: "Unexpected \";\"".to_owned(), place: Some(("<stdin>".to_owned(), 2, 3)), notes: Vec::new() },
        ];
        assert_eq!(messages(said), expected);
        let help = expected[0].help(Path::new("hello.ts"), None).unwrap();
        assert!(help.contains("do not exist in the sandbox"), "{help}");
    }

    #[test]
    fn what_is_missing_is_installed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hello.ts");
        let help = |module: &str| not_found(&file, module, &[]).unwrap_or_default();
        assert!(help("left-pad/x").contains("npm install left-pad") && help("@a/b/c").contains("install @a/b`"));
        assert_eq!(help("./x"), "");
        fs::write(folder.path().join("package.json"), r#"{"dependencies": {"left-pad": "1"}}"#).unwrap();
        assert!(help("left-pad").contains("run `npm install`"));
        fs::create_dir_all(folder.path().join("node_modules/left-pad")).unwrap();
        assert!(help("left-pad/x").contains("nothing of that name"));
    }

    #[test]
    fn places_count_characters() {
        let fault = at("a.ts", "one\nü two\r\n", 7, "no", None);
        assert_eq!((fault.line, fault.column, fault.source_line.as_str()), (2, 3, "ü two"));
    }
}
