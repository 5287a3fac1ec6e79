//! `sandmill folders list | show | put | delete | access | share | shared`

use clap::Subcommand;
use reqwest::{Method, RequestBuilder};
use sandmill_model::{ScriptPath, people::Name};
use serde::Deserialize;
use serde_json::json;

use super::answers::{self, PageOptions};
use crate::{Session, client::Server, error::CliError};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// List the folders that have lists of who may use them
    List {
        #[command(flatten)]
        page: PageOptions,
    },
    /// Show who may use what is in a folder
    Show { name: Name },
    /// Say who may use what is in a folder: from then on nobody else but admins. Users are u/NAME, groups g/NAME
    Put {
        name: Name,
        /// Who says who the others are, too
        #[arg(long = "owner", value_name = "WHO")]
        owners: Vec<String>,
        #[arg(long = "writer", value_name = "WHO")]
        writers: Vec<String>,
        #[arg(long = "reader", value_name = "WHO")]
        readers: Vec<String>,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Forget the list of a folder: from then on roles alone say who may use what is in it
    Delete { name: Name },
    /// Show who may use what is at a single path, beside those who may anyway
    Access { path: ScriptPath },
    /// Say who may use what is at a single path, beside those who may anyway; nobody if nobody is named. u/NAME and g/NAME: all that is
    /// there; u/NAME:scripts the script and its runs alone, and so with :resources, :variables, :blobs and :triggers
    Share {
        path: ScriptPath,
        #[arg(long = "writer", value_name = "WHO")]
        writers: Vec<String>,
        #[arg(long = "reader", value_name = "WHO")]
        readers: Vec<String>,
    },
    /// List the single paths that somebody was given
    Shared {
        #[command(flatten)]
        page: PageOptions,
    },
}

#[derive(Debug, Deserialize)]
struct SharedItem {
    path: String,
    writers: Vec<String>,
    readers: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Item {
    name: String,
    description: String,
    updated_by: String,
}

#[derive(Debug, Deserialize)]
struct Folder {
    name: String,
    description: String,
    owners: Vec<String>,
    writers: Vec<String>,
    readers: Vec<String>,
    updated_at: String,
    updated_by: String,
}

#[derive(Debug, Deserialize)]
struct Access {
    writers: Vec<String>,
    readers: Vec<String>,
}

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    match command {
        Command::List { page } => {
            let request = server.request(Method::GET, "folders").query(&page.query());
            let row = |item: &Item| vec![item.name.clone(), item.updated_by.clone(), item.description.clone()];
            answers::list(&server, request, session, (&["FOLDER", "BY", "DESCRIPTION"], row)).await
        }
        Command::Show { name } => print(&server, server.request(Method::GET, &format!("folders/{name}")), session).await,
        Command::Put { name, owners, writers, readers, description } => {
            let body = json!({"owners": owners, "writers": writers, "readers": readers, "description": description});
            print(&server, server.request(Method::PUT, &format!("folders/{name}")).json(&body), session).await
        }
        Command::Delete { name } => answers::delete(&server, &format!("folders/{name}"), &format!("list of f/{name}"), session).await,
        Command::Access { path } => print_access(&server, server.request(Method::GET, &format!("access/{path}")), &path, session).await,
        Command::Share { path, writers, readers } => {
            let request = server.request(Method::PUT, &format!("access/{path}")).json(&json!({"writers": writers, "readers": readers}));
            print_access(&server, request, &path, session).await
        }
        Command::Shared { page } => {
            let request = server.request(Method::GET, "access").query(&page.query());
            let row = |item: &SharedItem| vec![item.path.clone(), item.writers.join(", "), item.readers.join(", ")];
            answers::list(&server, request, session, (&["PATH", "WRITERS", "READERS"], row)).await
        }
    }
}

async fn print(server: &Server, request: RequestBuilder, session: &mut Session<'_>) -> Result<(), CliError> {
    let Some(folder) = answers::read::<Folder>(server, request, session).await? else { return Ok(()) };
    let facts = [
        ("folder", folder.name),
        ("description", folder.description),
        ("owners", folder.owners.join(", ")),
        ("writers", folder.writers.join(", ")),
        ("readers", folder.readers.join(", ")),
        ("updated", format!("{} by {}", folder.updated_at, folder.updated_by)),
    ];
    answers::facts(&facts, session);
    Ok(())
}

async fn print_access(server: &Server, request: RequestBuilder, path: &ScriptPath, session: &mut Session<'_>) -> Result<(), CliError> {
    let Some(access) = answers::read::<Access>(server, request, session).await? else { return Ok(()) };
    let facts = [("path", path.to_string()), ("writers", access.writers.join(", ")), ("readers", access.readers.join(", "))];
    answers::facts(&facts, session);
    Ok(())
}
