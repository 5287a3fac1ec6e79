//! A core module of WASI preview 1 becomes a component, in this process: what compilers make that know nothing of components.

use std::{collections::BTreeSet, fmt::Display};

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{ExternalKind, Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Each after those that it uses.
const PACKAGES: [(&str, &str); 12] = [
    ("script.wit", include_str!("../../wit/script/script.wit")),
    ("context.wit", include_str!("../../wit/context/context.wit")),
    ("log.wit", include_str!("../../wit/log/log.wit")),
    ("output.wit", include_str!("../../wit/output/output.wit")),
    ("state.wit", include_str!("../../wit/state/state.wit")),
    ("runs.wit", include_str!("../../wit/runs/runs.wit")),
    ("resources.wit", include_str!("../../wit/resources/resources.wit")),
    ("variables.wit", include_str!("../../wit/variables/variables.wit")),
    ("sql.wit", include_str!("../../wit/sql/sql.wit")),
    ("blob.wit", include_str!("../../wit/blob/blob.wit")),
    ("publish.wit", include_str!("../../wit/publish/publish.wit")),
    ("guest.wit", include_str!("../../wit/guest/guest.wit")),
];
/// Interfaces of scripts; a module exports their functions as `sandmill:script/main@0.1.0#run`.
const SCRIPT_PREFIX: &str = "sandmill:script/";
/// Where compilers leave the types of a world that a module was written for.
const WORLD_SECTION: &str = "component-type";
const COMMAND: &str = "_start";

/// A script, a command, or a module of a world that it describes itself.
///
/// # Errors
/// What is wrong with the module, or missing in it.
pub(crate) fn componentize(module: &[u8]) -> Result<Vec<u8>, String> {
    if Parser::is_component(module) {
        return Err("it is a component already".to_owned());
    }
    if !Parser::is_core_wasm(module) {
        return Err("it is not a WebAssembly module".to_owned());
    }
    let found = Found::read(module)?;
    if found.has_world {
        let adapter = if found.has_start { WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER } else { WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER };
        return encode(module, adapter);
    }
    if !found.scripts.is_empty() {
        return encode(&with_world(module, &found.scripts)?, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER);
    }
    if found.has_start {
        return encode(module, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER);
    }
    Err(format!("it exports nothing to call: a script exports `{SCRIPT_PREFIX}main@0.1.0#run`, a command `{COMMAND}`"))
}

/// What of a module tells what is to be made of it.
#[derive(Default)]
struct Found {
    /// Names of interfaces of which it exports a function.
    scripts: BTreeSet<String>,
    has_start: bool,
    has_world: bool,
}

impl Found {
    fn read(module: &[u8]) -> Result<Self, String> {
        let damaged = |error: wasmparser::BinaryReaderError| format!("it is damaged: {error}");
        let mut found = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload.map_err(damaged)? {
                Payload::ExportSection(exports) => {
                    for export in exports {
                        let export = export.map_err(damaged)?;
                        if export.kind == ExternalKind::Func {
                            found.note(export.name);
                        }
                    }
                }
                Payload::CustomSection(section) if section.name().starts_with(WORLD_SECTION) => found.has_world = true,
                _ => {}
            }
        }
        Ok(found)
    }

    fn note(&mut self, name: &str) {
        if name == COMMAND {
            self.has_start = true;
        } else if let Some((interface, _function)) = name.split_once('#')
            && interface.starts_with(SCRIPT_PREFIX)
        {
            self.scripts.insert(interface.to_owned());
        }
    }
}

/// The module with a world in it: all that a script may import, and the interfaces that it exports.
fn with_world(module: &[u8], scripts: &BTreeSet<String>) -> Result<Vec<u8>, String> {
    let mut resolve = Resolve::default();
    for (name, text) in PACKAGES {
        resolve.push_str(name, text).map_err(said)?;
    }
    let exports: String = scripts.iter().map(|interface| format!("    export {interface};\n")).collect();
    let text = format!("package sandmill:build;\n\nworld built {{\n    include sandmill:guest/imports@0.1.0;\n{exports}}}\n");
    let unknown = |error| {
        let names: Vec<_> = scripts.iter().map(|name| format!("`{name}`")).collect();
        format!("it exports {}, which no script has: {}", names.join(", "), said(error))
    };
    let package = resolve.push_str("built.wit", &text).map_err(unknown)?;
    let world = resolve.select_world(&[package], Some("built")).map_err(said)?;
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).map_err(said)?;
    Ok(module)
}

fn encode(module: &[u8], adapter: &[u8]) -> Result<Vec<u8>, String> {
    let encoder = ComponentEncoder::default().validate(true).module(module).map_err(said)?;
    encoder.adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter).map_err(said)?.encode().map_err(said)
}

/// With the causes that the libraries give.
fn said(error: impl Display) -> String {
    format!("{error:#}")
}

#[cfg(test)]
mod tests;
