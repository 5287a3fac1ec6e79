//! Every option of the server, read once.

use std::{
    ffi::OsString,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum, parser::ValueSource};
use sandmill_dispatch::Role;
use sandmill_model::{audit, settings::RETENTION_DAYS_MAX};

use crate::{blob_options::BlobOptions, network_options::NetworkOptions, oidc_options::OidcOptions};
use sandmill_capabilities::blob;
use sandmill_store::objects::{INLINE_RESULT_BYTES_MAX, Place};

use crate::backup::{self, BackupOptions, RestoreOptions};

/// No timeout is longer than a day: what waits longer waits for ever.
const TIMEOUT_MS_MAX: u64 = 24 * 3600 * 1000;

fn tag(text: &str) -> Result<Arc<str>, String> {
    sandmill_model::policy::check_tag(text).map(|()| text.into())
}

/// Runs scripts in fresh WebAssembly sandboxes.
#[derive(Debug, Parser)]
#[command(name = "sandmill", version, max_term_width = 120)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server.
    Serve(Box<ServeOptions>),
    /// Copy the embedded database and what belongs to it into one file, while the server runs or not.
    Backup(Box<BackupOptions>),
    /// Make a data folder of what `backup` wrote.
    Restore(RestoreOptions),
    /// Build one thing after another, as the server asks (internal).
    #[command(hide = true)]
    BuildWorker,
    /// Write a file that describes this binary to stdout (internal).
    #[command(hide = true)]
    Generate { what: Generated },
    #[command(flatten)]
    Client(Box<sandmill_cli::ClientCommand>),
}

/// What `generate` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Generated {
    Openapi,
    Cli,
    ManifestSchema,
    TriggerDocs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Pretty,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Durability {
    /// An acknowledged write survives the death of the process; the last milliseconds may be lost with the machine's power.
    Normal,
    /// An acknowledged write survives the loss of power.
    Full,
}

/// Where a server keeps what lasts.
#[derive(Clone, Debug, Args)]
pub(crate) struct Places {
    /// The server's folder: for the embedded database, compiled code and keys.
    #[arg(long, env = "SANDMILL_DATA", default_value = "./sandmill-data")]
    pub(crate) data: PathBuf,
    /// `sqlite:FILE` or `postgres://…`; by default a SQLite file in the data folder.
    #[arg(long, env = "SANDMILL_DATABASE_URL")]
    pub(crate) database_url: Option<String>,
    /// Folder for results that are too large for the database; DATA/objects by default, or the bucket of --blob-s3-bucket. Nodes that share a
    /// database share it too.
    #[arg(long, env = "SANDMILL_OBJECTS_DIR")]
    pub(crate) objects_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) blob: BlobOptions,
}

impl Places {
    pub(crate) fn objects(&self) -> PathBuf {
        self.objects_dir.clone().unwrap_or_else(|| self.data.join(backup::OBJECTS))
    }

    /// The bucket that large results are in, if they are in none of the server's folders.
    pub(crate) fn results_bucket(&self) -> Option<&str> {
        if self.objects_dir.is_some() { None } else { self.blob.blob_s3_bucket.as_deref() }
    }

    pub(crate) fn database_url(&self) -> String {
        self.database_url.clone().unwrap_or_else(|| format!("sqlite:{}", self.data.join(backup::DATABASE).display()))
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ServeOptions {
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, env = "SANDMILL_LISTEN", default_value = "127.0.0.1:8000")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) network: NetworkOptions,
    #[command(flatten)]
    pub(crate) oidc: OidcOptions,
    #[command(flatten)]
    pub(crate) places: Places,
    /// Bytes of a result that is kept in the database; a larger one becomes an object.
    #[arg(long, env = "SANDMILL_INLINE_RESULT_BYTES_MAX", default_value_t = INLINE_RESULT_BYTES_MAX)]
    pub(crate) inline_result_bytes_max: usize,
    /// File with the instance keys that seal secrets, in base64, one in a line, the active one first; by default DATA/instance-key, which the
    /// first start makes. Where `SANDMILL_INSTANCE_KEY` is set, it holds the keys and no file is read.
    #[arg(long, env = "SANDMILL_INSTANCE_KEY_FILE")]
    pub(crate) instance_key_file: Option<PathBuf>,
    /// What an acknowledged write survives.
    #[arg(long, env = "SANDMILL_DURABILITY", value_enum, default_value = "normal")]
    pub(crate) durability: Durability,
    /// An admin token to accept; by default the first start makes one and writes it to DATA/admin-token.
    #[arg(long, env = "SANDMILL_ADMIN_TOKEN", hide_env_values = true)]
    pub(crate) admin_token: Option<String>,
    /// A TOML file with any of these options, named as here; what is said on the command line or in the environment counts more.
    #[arg(long, env = "SANDMILL_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// How log lines are written.
    #[arg(long, env = "SANDMILL_LOG_FORMAT", value_enum, default_value = "pretty")]
    pub(crate) log_format: LogFormat,
    /// What to log, e.g. `info` or `sandmill_dispatch=debug,info`.
    #[arg(long, env = "SANDMILL_LOG", default_value = "info")]
    pub(crate) log: String,
    /// Send traces by OTLP over HTTP to this collector, e.g. `http://127.0.0.1:4318/v1/traces`.
    #[arg(long, env = "SANDMILL_OTLP_ENDPOINT")]
    pub(crate) otlp_endpoint: Option<String>,
    /// What this node is for: `all`, `api` (answers requests, executes nothing) or `worker` (executes runs).
    #[arg(long, env = "SANDMILL_ROLE", default_value = "all", value_parser = Role::from_name)]
    pub(crate) role: Role,
    /// Tags that this node serves beside runs without one, separated by commas.
    #[arg(long, env = "SANDMILL_TAGS", value_delimiter = ',', value_parser = tag)]
    pub(crate) tags: Vec<Arc<str>>,
    /// Name of this node among the others; by default one that the first start makes and keeps in the data folder.
    #[arg(long, env = "SANDMILL_NODE")]
    pub(crate) node: Option<String>,
    /// Runs of one workspace that wait or execute; past it new ones are answered 429.
    #[arg(long, env = "SANDMILL_BACKLOG_MAX", default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) backlog_max: u64,
    /// Days for which ended runs and their logs are kept, unless a workspace says otherwise; 0: for ever.
    #[arg(long, env = "SANDMILL_RETENTION_DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(..=i64::from(RETENTION_DAYS_MAX)))]
    pub(crate) retention_days: u32,
    /// Days for which entries of the audit log are kept: those of the installation, and of workspaces that say nothing else; 0: for ever.
    #[arg(long, env = "SANDMILL_AUDIT_DAYS", default_value_t = audit::DAYS_DEFAULT, value_parser = clap::value_parser!(u32).range(..=i64::from(RETENTION_DAYS_MAX)))]
    pub(crate) audit_days: u32,
    /// Runs that execute at once; by default 32 for each core.
    #[arg(long, env = "SANDMILL_SLOTS")]
    pub(crate) slots: Option<usize>,
    /// Memory for all running guests together, in MiB; by default half of the machine's.
    #[arg(long, env = "SANDMILL_GUEST_MEMORY_MIB")]
    pub(crate) guest_memory_mib: Option<u64>,
    /// Memory for running guests of one workspace together, in MiB; by default three quarters of that for all. Runs that start wait for it.
    #[arg(long, env = "SANDMILL_WORKSPACE_MEMORY_MIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) workspace_memory_mib: Option<u64>,
    /// Compiled code kept on disk, in MiB.
    #[arg(long, env = "SANDMILL_CODE_CACHE_MIB", default_value_t = 8 * 1024)]
    pub(crate) code_cache_mib: u64,
    /// How long a synchronous call waits for its result before it is answered 202, in milliseconds.
    #[arg(long, env = "SANDMILL_WAIT_LIMIT_MS", default_value_t = 20_000)]
    pub(crate) wait_limit_ms: u64,
    /// Connections open at once; more wait until one ends. By default half of the files that the process may open, at most 10000.
    #[arg(long, env = "SANDMILL_CONNECTIONS_MAX", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) connections_max: Option<u32>,
    /// How long the head of a request may take to arrive, and its body may pause, in milliseconds.
    #[arg(long, env = "SANDMILL_RECEIVE_TIMEOUT_MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..=TIMEOUT_MS_MAX))]
    pub(crate) receive_timeout_ms: u64,
    /// How long whoever asked may take nothing of its answer, in milliseconds; then the connection is cut.
    #[arg(long, env = "SANDMILL_SEND_TIMEOUT_MS", default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..=TIMEOUT_MS_MAX))]
    pub(crate) send_timeout_ms: u64,
    /// How long a connection may stay open without a request, in milliseconds.
    #[arg(long, env = "SANDMILL_IDLE_TIMEOUT_MS", default_value_t = 75_000, value_parser = clap::value_parser!(u64).range(1..=TIMEOUT_MS_MAX))]
    pub(crate) idle_timeout_ms: u64,
    /// Runs in the shared language runtime after which a script is compiled on its own.
    #[arg(long, env = "SANDMILL_SNAPSHOT_AFTER_RUNS", default_value_t = 5)]
    pub(crate) snapshot_after_runs: u32,
    /// Newest WASI that components may be made of. What the engine has of 0.3 gets no security releases yet
    #[arg(long, env = "SANDMILL_WASI", value_enum, default_value_t = Wasi::V0_2)]
    pub(crate) wasi: Wasi,
    #[command(flatten)]
    pub(crate) outbound: sandmill_cli::Outbound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wasi {
    #[value(name = "0.2")]
    V0_2,
    #[value(name = "0.3")]
    V0_3,
}

impl ServeOptions {
    /// `blobs` is where objects of scripts are.
    pub(crate) fn objects(&self, blobs: &blob::Place) -> std::io::Result<sandmill_store::objects::Options> {
        let service = if self.places.results_bucket().is_some() { blob::for_results(blobs)? } else { None };
        let place = service.map_or_else(|| Place::Folder(self.places.objects()), Place::Service);
        Ok(sandmill_store::objects::Options { place, inline_result_bytes_max: self.inline_result_bytes_max })
    }
}

/// Reads the command line, the environment and, for `serve` and `backup`, the config file; in this order of weight.
pub(crate) fn parse() -> Cli {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = Cli::parse_from(&arguments);
    let Some((name, file)) = cli.command.config() else { return cli };
    match with_config(arguments, name, file) {
        Ok(arguments) => Cli::parse_from(arguments),
        Err(error) => Cli::command().error(clap::error::ErrorKind::ValueValidation, format!("{error:#}")).exit(),
    }
}

impl Command {
    /// The config file that is to be read, and the command's name.
    fn config(&self) -> Option<(&'static str, &Path)> {
        match self {
            Self::Serve(options) => Some(("serve", options.config.as_deref()?)),
            Self::Backup(options) => Some(("backup", options.config.as_deref()?)),
            _ => None,
        }
    }
}

/// The arguments of the command `name` with those of the file that neither the command line nor the environment sets. The file is the
/// server's: what the command has no option for does not concern it.
fn with_config(mut arguments: Vec<OsString>, name: &str, file: &Path) -> anyhow::Result<Vec<OsString>> {
    let text = fs::read_to_string(file).with_context(|| format!("the config file {} cannot be read", file.display()))?;
    let config: toml::Table = toml::from_str(&text).with_context(|| format!("the config file {} is not valid", file.display()))?;
    let command = Cli::command();
    let find = |name: &str| command.find_subcommand(name).with_context(|| format!("there is no command {name}")).cloned();
    let (serve, this) = (find("serve")?, find(name)?);
    let matches = command.try_get_matches_from(&arguments)?;
    let given = matches.subcommand_matches(name).with_context(|| format!("the command is not {name}"))?;
    for (key, value) in config {
        let known =
            serve.get_arguments().find(|argument| argument.get_long().is_some_and(|long| long == key || long.replace('-', "_") == key));
        let argument = known.filter(|argument| argument.get_id() != "config");
        let argument = argument.with_context(|| format!("{}: there is no option `{key}`", file.display()))?;
        if !this.get_arguments().any(|own| own.get_id() == argument.get_id()) {
            continue;
        }
        let set = matches!(given.value_source(argument.get_id().as_str()), Some(ValueSource::CommandLine | ValueSource::EnvVariable));
        if set {
            continue;
        }
        // Options that may be given more than once may be lists.
        let values = match value {
            toml::Value::Array(values) if matches!(argument.get_action(), ArgAction::Append) => values,
            value => vec![value],
        };
        for value in values {
            let value = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(is_so) => is_so.to_string(),
                other => anyhow::bail!("{}: `{key}` cannot be {other}", file.display()),
            };
            arguments.push(format!("--{}={value}", argument.get_long().unwrap_or_default()).into());
        }
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(config: &str, arguments: &[&str]) -> anyhow::Result<Command> {
        let file = std::env::temp_dir().join(format!("sandmill-config-{}", u64::from_be_bytes(sandmill_model::random::bytes())));
        fs::write(&file, config)?;
        let all = ["sandmill"].iter().chain(arguments).map(OsString::from).collect();
        let merged = with_config(all, arguments[0], &file);
        fs::remove_file(&file)?;
        Ok(Cli::try_parse_from(merged?)?.command)
    }

    fn merged(config: &str, arguments: &[&str]) -> anyhow::Result<ServeOptions> {
        match command(config, &[&["serve"][..], arguments].concat())? {
            Command::Serve(options) => Ok(*options),
            other => anyhow::bail!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_counts_more_than_the_file() {
        let options = merged("listen = '127.0.0.1:1'\nslots = 3\ncode_cache_mib = 7", &["--slots", "5"]).unwrap();
        assert_eq!((options.listen.port(), options.slots, options.code_cache_mib), (1, Some(5), 7));
    }

    #[test]
    fn a_workspace_has_memory_or_what_is_left_to_the_node() {
        assert_eq!(merged("workspace_memory_mib = 512", &[]).unwrap().workspace_memory_mib, Some(512));
        assert_eq!(merged("", &[]).unwrap().workspace_memory_mib, None);
        assert!(merged("workspace_memory_mib = 0", &[]).is_err(), "with none nothing could run");
    }

    #[test]
    fn what_may_be_said_more_than_once_may_be_a_list() {
        let options = merged("trusted-proxy = ['10.0.0.0/8', '::1']\ntags = 'a,b'\ntls_cert = 'c'\ntls_key = 'k'", &[]).unwrap();
        let trusted: Vec<String> = options.network.trusted_proxy.iter().map(ToString::to_string).collect();
        assert_eq!((trusted, options.tags.len()), (vec!["10.0.0.0/8".to_owned(), "::1/128".to_owned()], 2));
        assert!(options.network.tls().is_some());
        assert!(merged("trusted-proxy = [[]]", &[]).is_err() && merged("tls_cert = 'c'", &[]).is_err());
    }

    #[test]
    fn what_is_on_or_off_is_so_in_the_file() {
        let on = |config: &str, arguments: &[&str]| merged(config, arguments).unwrap().oidc.oidc_allow_signup;
        assert!(on("oidc_allow_signup = true", &[]) && !on("oidc_allow_signup = false", &[]) && !on("", &[]));
        assert!(!on("oidc_allow_signup = true", &["--oidc-allow-signup=false"]));
        assert!(merged("oidc_issuer = 'https://id.test'", &[]).is_err(), "and no client");
    }

    #[test]
    fn a_backup_takes_its_part_of_the_servers_file() {
        let backup = |config: &str| match command(config, &["backup", "x.tar.zst", "--data", "/srv/d"]) {
            Ok(Command::Backup(options)) => Ok(options.places),
            other => Err(format!("{other:?}")),
        };
        let places = backup("data = '/other'\nobjects_dir = '/srv/o'\nslots = 3\nlisten = '127.0.0.1:1'").unwrap();
        assert_eq!((places.data, places.objects_dir), (PathBuf::from("/srv/d"), Some(PathBuf::from("/srv/o"))));
        assert!(backup("lisen = 'x'").is_err());
    }

    #[test]
    fn unknown_options_in_the_file_are_errors() {
        for bad in ["lisen = 'x'", "config = 'x'", "slots = [1]", "slots = 'many'", "= 3"] {
            assert!(merged(bad, &[]).is_err(), "{bad}");
        }
    }
}
