//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::commands::{
    audit, build, bundle, dev, folders, grants, groups, init, keys, letters, login, members, nodes, password, plans, push, quotas,
    resource_types, resources, run, runs, scripts, service_accounts, sessions, settings, test, tokens, triggers, usage, users, variables,
    whoami, workspaces,
};

/// Under this heading `--help` lists what all commands share.
pub(crate) const SHARED_HEADING: &str = "Server";

/// Options of every command that talks to a server.
#[derive(Clone, Debug, Default, Args)]
pub struct Globals {
    /// Address of the server [default: what `login` saved, else `http://127.0.0.1:8000`]
    #[arg(long, env = "SANDMILL_SERVER", global = true, value_name = "URL", help_heading = SHARED_HEADING)]
    pub server: Option<String>,
    /// Token to show to the server [default: what `login` saved]
    #[arg(long, env = "SANDMILL_TOKEN", global = true, hide_env_values = true, help_heading = SHARED_HEADING)]
    pub token: Option<String>,
    /// Workspace to work in [default: what `login` saved, else `default`]
    #[arg(long, env = "SANDMILL_WORKSPACE", global = true, help_heading = SHARED_HEADING)]
    pub workspace: Option<String>,
    /// A PEM file of authorities whose certificates are trusted beside those of the well-known ones
    #[arg(long, env = "SANDMILL_CA", global = true, value_name = "FILE", help_heading = SHARED_HEADING)]
    pub ca: Option<PathBuf>,
    /// Print JSON for other programs to read
    #[arg(long, global = true, help_heading = SHARED_HEADING)]
    pub json: bool,
}

/// Options of one command and those that all share.
#[derive(Clone, Debug, Args)]
pub struct With<T: Args> {
    #[command(flatten)]
    pub(crate) own: T,
    #[command(flatten)]
    pub(crate) globals: Globals,
}

#[derive(Clone, Debug, Subcommand)]
pub enum ClientCommand {
    /// Save a server, a token and a workspace for later commands
    Login(With<login::Options>),
    /// End the session that `login` began, and forget what it saved
    Logout(With<login::LogoutOptions>),
    /// Show as whom the server knows you, and where you are a member
    Whoami(With<whoami::Options>),
    /// Change your own password, asked for or the two lines of stdin; all other sessions end
    Password(With<password::Options>),
    /// Show where you are logged in, and end it
    Sessions(With<sessions::Options>),
    /// Make a project folder: sandmill.toml, an example script with cases, editor types or the SDK
    Init(With<init::Options>),
    /// Compile a project to a component, or make one of a core module
    Build(With<build::Options>),
    /// Make one module of a script and what it imports, as push, dev, test and run do by themselves
    Bundle(With<bundle::Options>),
    /// Deploy a script, a component or every script of a project folder
    Push(With<push::Options>),
    /// Watch a folder: deploy what is saved, show compile errors, results and what runs log
    Dev(With<dev::Options>),
    /// Run a deployed script, or a file in a local sandbox without any server
    Run(With<run::Options>),
    /// Run the cases of scripts in a local sandbox without any server
    Test(With<test::Options>),
    /// Follow and steer runs
    Runs(With<runs::Options>),
    /// Look at runs that failed for good, start them again or forget them
    DeadLetters(With<letters::Options>),
    /// Look at what is deployed
    Scripts(With<scripts::Options>),
    /// Look at what scripts may do beyond their sandbox, give and take it
    Grants(With<grants::Options>),
    /// Keep what scripts connect to: databases, accounts, buckets
    Resources(With<resources::Options>),
    /// Look at what resources can be, and define more
    ResourceTypes(With<resource_types::Options>),
    /// Keep texts for scripts, secret or not
    Variables(With<variables::Options>),
    /// Say what starts scripts, see how that fares, and decide about events and runs that are kept
    Triggers(With<triggers::Options>),
    /// Look at the people of the installation, and make more
    Users(With<users::Options>),
    /// Say who belongs to a workspace, and as what
    Members(With<members::Options>),
    /// Put members together that lists name as one
    Groups(With<groups::Options>),
    /// Say who may use what is in a folder, or at a single path
    Folders(With<folders::Options>),
    /// Keep identities that runs can act as and that are nobody's own
    ServiceAccounts(With<service_accounts::Options>),
    /// Make, look at, rotate and revoke tokens
    Tokens(With<tokens::Options>),
    /// See who changed what and who was denied what, and that nobody has tampered with it
    Audit(With<audit::Options>),
    /// Make, archive and delete workspaces, and say what each may use
    Workspaces(With<workspaces::Options>),
    /// Keep named sets of limits for workspaces
    Plans(With<plans::Options>),
    /// Show and change what is set for a workspace: for how long runs are kept, what handles errors
    Settings(With<settings::Options>),
    /// Show what the workspace may use
    Quotas(With<quotas::Options>),
    /// Show what was used, by day
    Usage(With<usage::Options>),
    /// Look at the nodes of the installation
    Nodes(With<nodes::Options>),
    /// Change the keys that secrets are sealed with
    Keys(With<keys::Options>),
}

impl ClientCommand {
    pub(crate) fn globals(&self) -> &Globals {
        match self {
            Self::Login(with) => &with.globals,
            Self::Logout(with) => &with.globals,
            Self::Whoami(with) => &with.globals,
            Self::Password(with) => &with.globals,
            Self::Sessions(with) => &with.globals,
            Self::Init(with) => &with.globals,
            Self::Build(with) => &with.globals,
            Self::Bundle(with) => &with.globals,
            Self::Push(with) => &with.globals,
            Self::Dev(with) => &with.globals,
            Self::Run(with) => &with.globals,
            Self::Test(with) => &with.globals,
            Self::Runs(with) => &with.globals,
            Self::DeadLetters(with) => &with.globals,
            Self::Scripts(with) => &with.globals,
            Self::Grants(with) => &with.globals,
            Self::Resources(with) => &with.globals,
            Self::ResourceTypes(with) => &with.globals,
            Self::Variables(with) => &with.globals,
            Self::Triggers(with) => &with.globals,
            Self::Users(with) => &with.globals,
            Self::Members(with) => &with.globals,
            Self::Groups(with) => &with.globals,
            Self::Folders(with) => &with.globals,
            Self::ServiceAccounts(with) => &with.globals,
            Self::Tokens(with) => &with.globals,
            Self::Audit(with) => &with.globals,
            Self::Workspaces(with) => &with.globals,
            Self::Plans(with) => &with.globals,
            Self::Settings(with) => &with.globals,
            Self::Quotas(with) => &with.globals,
            Self::Usage(with) => &with.globals,
            Self::Nodes(with) => &with.globals,
            Self::Keys(with) => &with.globals,
        }
    }
}
