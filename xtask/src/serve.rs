//! `cargo xtask serve`: from a checkout to a server with the examples on it.
//!
//! The workshop *becomes* the server (exec), so signals and the exit code need no forwarding. What is left to do once the
//! server is up, a child does beside it.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    exec::{self, cargo, command, wait_until},
    setup,
    tree::{root, target_folder},
};

const READY_LIMIT: Duration = Duration::from_secs(60);
const PROBE_LIMIT: Duration = Duration::from_secs(2);

#[derive(clap::Args)]
pub struct Options {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Folder for everything that the server keeps
    #[arg(long, default_value = "./sandmill-data")]
    data: PathBuf,
    /// Passed on to `sandmill serve`
    #[arg(last = true)]
    extra: Vec<String>,
}

#[derive(clap::Args)]
pub struct ExamplesOptions {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    data: PathBuf,
    #[arg(long)]
    binary: PathBuf,
}

/// # Errors
/// If it does not build or cannot be started; else it does not return.
pub fn run(options: &Options) -> Result<()> {
    eprintln!("building for release; the first time this takes some minutes");
    exec::run(cargo().args(["build", "--release", "--package", "sandmill"]))?;
    let binary = target_folder()?.join("release/sandmill");
    let workshop = std::env::current_exe().context("cannot find myself")?;
    let mut examples = command(workshop);
    examples
        .arg("serve-examples")
        .arg("--listen")
        .arg(options.listen.to_string())
        .arg("--data")
        .arg(&options.data)
        .arg("--binary")
        .arg(&binary);
    examples.stdin(Stdio::null()).spawn().context("cannot start the deployment of the examples")?;
    let mut server = command(&binary);
    server.arg("serve").arg("--listen").arg(options.listen.to_string()).arg("--data").arg(&options.data).args(&options.extra);
    Err(server.exec()).with_context(|| format!("cannot start {}", binary.display()))
}

/// Waits for the server, deploys every example and says how to call one.
///
/// # Errors
/// If the server does not come up or refuses an example.
pub fn examples(options: &ExamplesOptions) -> Result<()> {
    wait_until("the server is ready", READY_LIMIT, || is_ready(options.listen))?;
    let token_file = root().join(&options.data).join("admin-token");
    let token = fs::read_to_string(&token_file).with_context(|| format!("cannot read {}", token_file.display()))?;
    let (server, token) = (format!("http://{}", options.listen), token.trim());
    let programs = options.binary.parent().map(Path::to_owned).into_iter();
    let path = std::env::join_paths(programs.chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())))?;
    for folder in folders()? {
        if folder.join("Cargo.toml").is_file()
            && let Err(error) = setup::build_guest(&folder, &folder.join("target"))
        {
            eprintln!("left out {}: {error:#}; `cargo xtask setup` installs what Rust guests need", folder.display());
            continue;
        }
        let called = |mut command: Command| {
            command.current_dir(&folder).env("PATH", &path).env("SANDMILL_SERVER", &server).env("SANDMILL_TOKEN", token);
            // For what an example needs that only its reader has.
            command.env("SANDMILL_WORKSPACE", "default").env("SANDMILL_SECRET_BEARER", "put-your-token-here");
            match command.stdin(Stdio::null()).status()?.success() {
                true => Ok(()),
                false => bail!("the server refused {}", folder.display()),
            }
        };
        if folder.join("setup.sh").is_file() {
            let mut setup = command("sh");
            setup.args(["-e", "setup.sh"]).stdout(Stdio::null());
            called(setup)?;
        }
        let mut push = command(&options.binary);
        push.args(["push", ".", "--grant", "all"]);
        called(push)?;
    }
    let readme = fs::read_to_string(root().join("examples/greeting/README.md")).context("cannot read the greeting's README")?;
    let call = first_shell_block(&readme).context("the greeting's README shows no call")?;
    let call = call.replace("$SANDMILL_SERVER", &server).replace("$SANDMILL_TOKEN", token);
    println!("\nready at {server}\n\n{}\n\ntry:\n\n{call}\n", exports(options, &server));
    Ok(())
}

/// Lines for a shell in this folder; the token stays out of its history.
fn exports(options: &ExamplesOptions, server: &str) -> String {
    let token_file = options.data.join("admin-token");
    let programs = options.binary.parent().unwrap_or(Path::new("."));
    let programs =
        programs.strip_prefix(root()).map_or_else(|_| programs.display().to_string(), |inside| format!("$PWD/{}", inside.display()));
    format!("export SANDMILL_SERVER={server}\nexport SANDMILL_TOKEN=$(cat {})\nexport PATH={programs}:$PATH", token_file.display())
}

fn folders() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(root().join("examples")).context("cannot list the examples")?;
    let mut folders: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|folder| folder.join("sandmill.toml").is_file()).collect();
    folders.sort();
    Ok(folders)
}

fn is_ready(address: SocketAddr) -> bool {
    let probe = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&address, PROBE_LIMIT)?;
        stream.set_read_timeout(Some(PROBE_LIMIT))?;
        stream.write_all(format!("GET /ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes())?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer.ends_with(b" 200"))
    };
    probe().unwrap_or(false)
}

/// The first block marked `sh`.
fn first_shell_block(markdown: &str) -> Option<&str> {
    let (_, rest) = markdown.split_once("```sh\n")?;
    rest.split_once("\n```").map(|(block, _)| block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_is_taken_from_the_readme() {
        assert_eq!(first_shell_block("# x\n```ts\na\n```\n```sh\ncurl x\n  y\n```\n```sh\nz\n```\n"), Some("curl x\n  y"));
        assert_eq!(first_shell_block("# x"), None);
    }
}
