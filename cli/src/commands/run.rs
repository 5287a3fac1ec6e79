//! `sandmill run PATH|FILE`: a deployed script on a server, or a file in a local sandbox.

use std::path::{Path, PathBuf};

use sandmill_model::{Grant, Input, Language, LogEntry, Outcome, OutcomeKind, Output, RunError, version::Selector};
use serde_json::json;

use crate::{
    Session,
    arguments::{Arguments, read_event},
    bundle,
    client::{Answer, LogLine, Order, Server, Terms},
    commands::{
        grants::{self, Choice},
        runs::failure,
    },
    error::CliError,
    files::ScriptFile,
    local::{LocalRunRequest, Outbound},
};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Path of a deployed script, with @N for a version; or a file, if it has a known extension or starts with ./ or /
    #[arg(value_name = "PATH|FILE")]
    what: String,
    #[command(flatten)]
    arguments: Arguments,
    /// An event instead of arguments, as a trigger would deliver it, e.g. `{"headers": {"x-a": "b"}, "body": {"n": 1}}`: what `preprocessor` makes of it
    /// are the arguments. `@FILE` to read one, `-` for stdin
    #[arg(long, value_name = "JSON|@FILE|-", conflicts_with_all = ["args", "arg"])]
    event: Option<String>,
    /// Only start the run, and print its id
    #[arg(long)]
    start: bool,
    /// Print the log and the progress on stderr while the run goes on
    #[arg(long, conflicts_with = "start")]
    stream: bool,
    /// For a file: give it what its manifest asks for, e.g. `runs:u/local/script`, or `all` of it
    #[arg(long = "grant", value_name = "GRANT")]
    grants: Vec<Choice>,
    /// For a component with several functions of its own: which to call, e.g. `area` or `acme:shapes/ops#area`
    #[arg(long, value_name = "FUNCTION")]
    export: Option<String>,
    #[command(flatten)]
    terms: Terms,
    #[command(flatten)]
    bundler: bundle::Bundler,
    #[command(flatten)]
    outbound: Outbound,
}

pub(crate) async fn execute(options: Options, session: &mut Session<'_>) -> Result<(), CliError> {
    let arguments = options.arguments.read()?;
    let event = options.event.as_deref().map(read_event).transpose()?;
    if is_file(&options.what) {
        if options.start {
            return Err(CliError::input("--start is for runs on a server; a local run is over when the command is"));
        }
        if options.stream {
            return Err(CliError::input("--stream is for runs on a server; the log of a local run is printed at its end"));
        }
        if !options.terms.is_empty() {
            return Err(CliError::input(
                "--delay-ms, --at, --priority, --tag, --run-as and --idempotency-key are for runs on a server; a local run begins at once",
            ));
        }
        let input = event.map_or(Input::Arguments(arguments), Input::Event);
        return local(PathBuf::from(&options.what), input, &options, session).await;
    }
    if !options.grants.is_empty() {
        return Err(CliError::input(
            "--grant is for a file; what a deployed script was given is changed with `sandmill grants give PATH GRANT`",
        ));
    }
    if options.export.is_some() {
        return Err(CliError::input("--export is for a file; of a deployed script it was chosen when it was pushed"));
    }
    Selector::split(&options.what)
        .map_err(|error| CliError::input(format!("{:?}: {error}. A file is named with ./ in front", options.what)))?;
    if options.terms.has_delay() && !options.start && !options.stream {
        return Err(CliError::input("--delay-ms and --at go with --start, or with --stream to follow the run from then on"));
    }
    let server = Server::of(&session.globals)?;
    let order = Order { target: &options.what, arguments: &arguments, event: event.as_ref(), terms: &options.terms };
    if options.start {
        let run_id = server.start(&order).await?;
        if session.console.is_json() {
            session.console.json(&json!({"run_id": run_id}));
        } else {
            session.console.say(&run_id);
        }
        return Ok(());
    }
    if options.stream {
        return stream(&server, &order, session).await;
    }
    let console = &mut session.console;
    let answer = server.run(&order, |run_id| console.progress(&format!("run {run_id} goes on; waiting for its end"))).await?;
    print(answer, session);
    Ok(())
}

fn print(answer: Answer, session: &mut Session<'_>) {
    if session.console.is_json() && answer.is_json() {
        // The result as it is, digits and all, in an envelope.
        let run_id = json!(answer.run_id);
        session.console.say(&format!("{{\"run_id\":{run_id},\"result\":{}}}", String::from_utf8_lossy(&answer.body)));
    } else if answer.is_json() {
        session.console.say(&String::from_utf8_lossy(&answer.body));
    } else {
        session.console.write(&answer.body);
    }
}

/// Shows what happens in a run, and its result.
async fn stream(server: &Server, order: &Order<'_>, session: &mut Session<'_>) -> Result<(), CliError> {
    let run_id = server.start(order).await?;
    session.console.progress(&format!("run {run_id}"));
    let end = match server.follow(&run_id, |line| session.console.log(&[line])).await {
        Ok(end) => end,
        Err(error) => {
            session.console.note(&format!("run {run_id} was started and goes on; it cannot be followed:"));
            return Err(error);
        }
    };
    match end.outcome.as_deref() {
        Some("ok" | "skipped") => {}
        outcome => return Err(failure(outcome.unwrap_or_default(), end.error)),
    }
    let answer = match end.result {
        Some(result) => {
            Answer { run_id: Some(run_id), content_type: "application/json".to_owned(), body: result.get().as_bytes().to_vec() }
        }
        None => server.result(&run_id).await?,
    };
    print(answer, session);
    Ok(())
}

/// Whether the argument names a file rather than a deployed script.
fn is_file(what: &str) -> bool {
    let starts = ["./", "../", "/", "~"].iter().any(|start| what.starts_with(start));
    // `f/demo/x.ts` could be either; paths that end like sources are rare, files that do are not.
    starts || Language::of_file(Path::new(what)).is_some()
}

async fn local(file: PathBuf, input: Input, options: &Options, session: &mut Session<'_>) -> Result<(), CliError> {
    let mut script = ScriptFile::load(&file, &options.bundler).await?;
    script.choose(options.export.clone())?;
    let ScriptFile { file, language, source, manifest } = script;
    let asked: Vec<Grant> = manifest.grants.iter().collect();
    let given = grants::chosen(&options.grants, &asked)?;
    let outbound = options.outbound.clone();
    let request = LocalRunRequest { file, language, source, manifest, given, input, outbound };
    let outcome = session.local.run(request).await?;
    report(outcome, session)
}

fn report(outcome: Outcome, session: &mut Session<'_>) -> Result<(), CliError> {
    let lines: Vec<LogLine> = outcome.log.iter().map(line).collect();
    session.console.log(&lines);
    match (outcome.kind, outcome.output, outcome.error) {
        (OutcomeKind::Ok, Some(Output::Json(text)), _) => {
            let envelope = session.console.is_json();
            session.console.say(&if envelope { format!("{{\"result\":{}}}", text.as_str()) } else { text.as_str().to_owned() });
            Ok(())
        }
        (OutcomeKind::Ok, Some(Output::Bytes { data, .. }), _) => {
            session.console.write(&data);
            Ok(())
        }
        (OutcomeKind::Ok | OutcomeKind::Skipped, ..) => {
            session.console.say("null");
            Ok(())
        }
        (kind, _, error) => Err(CliError::RunFailed(kind, error.unwrap_or_else(|| RunError::new(kind.name(), "the run failed")))),
    }
}

pub(crate) fn line(entry: &LogEntry) -> LogLine {
    LogLine {
        at: entry.at.to_string(),
        level: name(&entry.level),
        stream: name(&entry.stream),
        message: entry.message.clone(),
        fields: entry.fields.as_ref().and_then(|fields| fields.read().ok()),
    }
}

/// As the API writes it.
fn name(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_paths_are_told_apart() {
        for (what, expected) in [
            ("./hello", true),
            ("/x/hello", true),
            ("../hello.py", true),
            ("hello.ts", true),
            ("dir/hello.mjs", true),
            ("x.wasm", true),
            ("f/demo/hello", false),
            ("u/ann/hello@3", false),
            ("hello", false),
        ] {
            assert_eq!(is_file(what), expected, "{what}");
        }
    }

    #[test]
    fn levels_have_the_names_of_the_api() {
        assert_eq!(name(&sandmill_model::LogLevel::Warn), "warn");
        assert_eq!(name(&sandmill_model::LogStream::Stdout), "stdout");
    }
}
