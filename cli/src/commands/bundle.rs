//! `sandmill bundle FILE`: the one module that the server gets of a script and what it imports.

use std::{fs, path::PathBuf};

use serde_json::json;

use crate::{Session, bundle::Bundler, error::CliError, files::ScriptFile};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// A script (.ts, .js)
    file: PathBuf,
    /// Where the module goes [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    bundler: Bundler,
}

pub(crate) async fn execute(options: Options, session: &mut Session<'_>) -> Result<(), CliError> {
    let (script, inputs) = ScriptFile::load_with_inputs(&options.file, &options.bundler).await;
    let source = script?.into_module()?;
    if let Some(output) = &options.output {
        fs::write(output, &source).map_err(|error| CliError::input(format!("cannot write {}: {error}", output.display())))?;
    }
    if session.console.is_json() {
        let text = if options.output.is_none() { Some(String::from_utf8_lossy(&source).into_owned()) } else { None };
        session.console.json(&json!({"output": options.output, "bytes": source.len(), "inputs": inputs, "source": text}));
        return Ok(());
    }
    match &options.output {
        Some(output) => session.console.say(&format!("{} ({} KB)", output.display(), source.len().div_ceil(1000))),
        None => session.console.write(&source),
    }
    Ok(())
}
