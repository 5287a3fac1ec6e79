//! One file for each command.

mod answers;
pub(crate) mod audit;
pub(crate) mod build;
pub(crate) mod bundle;
pub(crate) mod dev;
mod filter;
pub(crate) mod folders;
pub(crate) mod grants;
pub(crate) mod groups;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod letters;
pub(crate) mod login;
pub(crate) mod members;
pub(crate) mod nodes;
pub(crate) mod password;
pub(crate) mod plans;
pub(crate) mod push;
pub(crate) mod quotas;
pub(crate) mod resource_types;
pub(crate) mod resources;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod scripts;
mod secret;
pub(crate) mod service_accounts;
pub(crate) mod sessions;
pub(crate) mod settings;
pub(crate) mod test;
pub(crate) mod tokens;
pub(crate) mod triggers;
pub(crate) mod usage;
pub(crate) mod users;
pub(crate) mod variables;
pub(crate) mod whoami;
pub(crate) mod workspaces;

use crate::{ClientCommand, Session, error::CliError};

pub(crate) async fn execute(command: ClientCommand, session: &mut Session<'_>) -> Result<(), CliError> {
    match command {
        ClientCommand::Login(with) => login::execute(with.own, session).await,
        ClientCommand::Logout(_) => login::log_out(session).await,
        ClientCommand::Whoami(_) => whoami::execute(session).await,
        ClientCommand::Password(_) => password::execute(session).await,
        ClientCommand::Sessions(with) => sessions::execute(with.own.command, session).await,
        ClientCommand::Init(with) => init::execute(&with.own, session),
        ClientCommand::Build(with) => build::execute(&with.own, session),
        ClientCommand::Bundle(with) => bundle::execute(with.own, session).await,
        ClientCommand::Push(with) => push::execute(with.own, session).await,
        ClientCommand::Dev(with) => Box::pin(dev::execute(with.own, session)).await,
        ClientCommand::Run(with) => run::execute(with.own, session).await,
        ClientCommand::Test(with) => test::execute(with.own, session).await,
        ClientCommand::Runs(with) => runs::execute(with.own.command, session).await,
        ClientCommand::DeadLetters(with) => letters::execute(with.own.command, session).await,
        ClientCommand::Scripts(with) => scripts::execute(with.own.command, session).await,
        ClientCommand::Grants(with) => grants::execute(with.own.command, session).await,
        ClientCommand::Resources(with) => resources::execute(with.own.command, session).await,
        ClientCommand::ResourceTypes(with) => resource_types::execute(with.own.command, session).await,
        ClientCommand::Variables(with) => variables::execute(with.own.command, session).await,
        ClientCommand::Triggers(with) => triggers::execute(with.own.command, session).await,
        ClientCommand::Tokens(with) => tokens::execute(with.own.command, session).await,
        ClientCommand::Workspaces(with) => workspaces::execute(with.own.command, session).await,
        ClientCommand::Settings(with) => settings::execute(with.own.command, session).await,
        ClientCommand::Quotas(_) => quotas::execute(session).await,
        ClientCommand::Usage(with) => usage::execute(with.own, session).await,
        ClientCommand::Plans(with) => plans::execute(with.own.command, session).await,
        ClientCommand::Keys(with) => keys::execute(with.own.command, session).await,
        ClientCommand::Audit(with) => audit::execute(with.own.command, session).await,
        ClientCommand::Users(with) => users::execute(with.own.command, session).await,
        ClientCommand::Members(with) => members::execute(with.own.command, session).await,
        ClientCommand::Groups(with) => groups::execute(with.own.command, session).await,
        ClientCommand::Folders(with) => folders::execute(with.own.command, session).await,
        ClientCommand::ServiceAccounts(with) => service_accounts::execute(with.own.command, session).await,
        ClientCommand::Nodes(with) => nodes::execute(with.own.command, session).await,
    }
}

#[cfg(test)]
mod tests;
