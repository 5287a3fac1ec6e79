//! `sandmill dev [DIR]`: deploys what is saved, shows what comes of it and what runs log, until Ctrl-C.

mod call;
mod deploy;
mod desk;
mod scope;
mod tail;
mod watch;

use std::{
    mem,
    path::{Path, PathBuf},
    time::Duration,
};

use self::{
    call::Call,
    deploy::{Deployer, Tools, Work},
    desk::Desk,
    scope::Scope,
    tail::Tail,
};
use super::{build, push};
use crate::{
    Session,
    arguments::Arguments,
    bundle,
    client::Server,
    console::Console,
    error::{CliError, Exit},
};

/// Before a server that cannot be reached is asked again.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Folder to watch: one with a sandmill.toml, else one with scripts, which go to u/<me>/<stem>
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Run this script after each deployment, and show its result; with @N a version of it
    #[arg(long, value_name = "PATH")]
    call: Option<String>,
    #[command(flatten)]
    arguments: Arguments,
    /// Deploy, call and end, without watching
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    tools: build::Tools,
    #[command(flatten)]
    bundler: bundle::Bundler,
}

pub(crate) async fn execute(options: Options, session: &mut Session<'_>) -> Result<(), CliError> {
    let call = Call::of(options.call.as_deref(), &options.arguments)?;
    // What is wrong with the folder needs no server to be said.
    scope::check(&options.dir)?;
    let server = Server::of(&session.globals)?;
    let console = mem::replace(&mut session.console, Console::of_process(session.globals.json));
    let desk = Desk::new(server, console);
    if options.once {
        return once(&desk, &options, call.as_ref()).await;
    }
    let work = Box::pin(watch(&desk, &options, call.as_ref()));
    tokio::select! {
        biased;
        Ok(()) = tokio::signal::ctrl_c() => Ok(()),
        done = work => done,
    }
}

async fn once(desk: &Desk, options: &Options, call: Option<&Call>) -> Result<(), CliError> {
    let identity = if scope::has_settings(&options.dir) { None } else { Some(identity(desk).await?) };
    let mut deployer = Deployer::new(desk, Scope::open(&options.dir, identity)?, tools(options));
    match (deployer.work().await, call) {
        (Work::Deployed(since), Some(call)) => call::execute(desk, call, since).await.map_err(CliError::Said),
        (Work::Deployed(_) | Work::Nothing, _) => Ok(()),
        (Work::Failed(exit), _) => Err(CliError::Said(exit)),
        (Work::Away, _) => Err(CliError::Said(Exit::Server)),
    }
}

fn tools(options: &Options) -> Tools {
    Tools { build: options.tools.clone(), bundler: options.bundler.clone() }
}

async fn watch(desk: &Desk, options: &Options, call: Option<&Call>) -> Result<(), CliError> {
    let identity = patient_identity(desk, &options.dir).await?;
    let scope = Scope::open(&options.dir, identity)?;
    desk.watching(&options.dir, scope.entries());
    let mut deployer = Deployer::new(desk, scope, tools(options));
    // Runs from now on are followed, that of the first call among them.
    let tail = Tail::begin(desk).await;
    let never = tokio::select! {
        biased;
        never = deployer.run(call) => never,
        never = tail.run() => never,
    };
    match never {}
}

async fn identity(desk: &Desk) -> Result<String, CliError> {
    let known = push::identity(desk.server()).await?;
    known.ok_or_else(|| CliError::input(format!("{}; `sandmill init` makes a folder that says where scripts go", push::NOBODY)))
}

/// None if the folder says itself where its scripts go.
async fn patient_identity(desk: &Desk, dir: &Path) -> Result<Option<String>, CliError> {
    if scope::has_settings(dir) {
        return Ok(None);
    }
    loop {
        match identity(desk).await {
            Err(error @ CliError::Unreachable(_)) => desk.lost(&error),
            known => {
                desk.back();
                return known.map(Some);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}
