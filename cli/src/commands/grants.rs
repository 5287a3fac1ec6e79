//! `sandmill grants list | give | take`

use clap::Subcommand;
use reqwest::{Method, RequestBuilder};
use sandmill_model::{Grant, ScriptPath};
use serde_json::json;

use super::answers;
use crate::{
    Session,
    client::{Granted, Server},
    error::CliError,
    render::{clean_line, table},
};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what a script asks for and what it was given
    List {
        /// Path of the script
        path: ScriptPath,
    },
    /// Give a script what it asks for; you must be allowed to do that yourself
    Give {
        /// Path of the script
        path: ScriptPath,
        /// What is given, e.g. `runs:f/demo/*`, or `all` for all that the newest version asks for
        #[arg(required = true)]
        grants: Vec<Choice>,
    },
    /// Take away what a script was given
    Take {
        /// Path of the script
        path: ScriptPath,
        /// What is taken away, as `list` shows it
        #[arg(required = true)]
        grants: Vec<String>,
    },
}

/// A grant, or all that are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    All,
    One(Grant),
}

impl std::str::FromStr for Choice {
    type Err = sandmill_model::grants::InvalidGrant;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "all" { Ok(Self::All) } else { text.parse().map(Self::One) }
    }
}

/// What is chosen of what is asked for.
///
/// # Errors
/// If one is not asked for: giving it would change nothing.
pub(crate) fn chosen(choices: &[Choice], asked: &[Grant]) -> Result<Vec<Grant>, CliError> {
    let mut chosen = Vec::new();
    for choice in choices {
        match choice {
            Choice::All => chosen.extend_from_slice(asked),
            Choice::One(grant) if asked.iter().any(|asked| grant.covers(asked)) => chosen.push(grant.clone()),
            Choice::One(grant) => {
                let asked: Vec<String> = asked.iter().map(|grant| format!("`{grant}`")).collect();
                let asked = if asked.is_empty() { "nothing".to_owned() } else { asked.join(", ") };
                return Err(CliError::input(format!("--grant {grant}: the manifest does not ask for it; it asks for {asked}")));
            }
        }
    }
    Ok(chosen)
}

pub(crate) async fn execute(command: Command, session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    let (path, request) = match command {
        Command::List { path } => {
            let request = server.request(Method::GET, &format!("grants/{path}"));
            (path, request)
        }
        Command::Give { path, grants } => {
            let asked = if grants.contains(&Choice::All) { server.granted(&path).await?.asked } else { Vec::new() };
            let give: Vec<String> = grants
                .into_iter()
                .flat_map(|choice| match choice {
                    Choice::All => asked.clone(),
                    Choice::One(grant) => vec![grant.to_string()],
                })
                .collect();
            let request = change(&server, &path, &json!({ "give": give }));
            (path, request)
        }
        Command::Take { path, grants } => {
            let request = change(&server, &path, &json!({ "take": grants }));
            (path, request)
        }
    };
    let Some(granted) = answers::read::<Granted>(&server, request, session).await? else { return Ok(()) };
    let rows: Vec<Vec<String>> =
        granted.given.iter().map(|given| [&given.grant, &given.by, &given.at].map(|cell| clean_line(cell)).to_vec()).collect();
    session.console.say(&table(&["GRANT", "BY", "AT"], &rows));
    say_missing(&path, &granted.missing, session);
    Ok(())
}

fn change(server: &Server, path: &ScriptPath, change: &serde_json::Value) -> RequestBuilder {
    server.request(Method::PATCH, &format!("grants/{path}")).json(change)
}

/// Gives `grants` to the script at `path`.
pub(crate) async fn give(server: &Server, path: &ScriptPath, grants: &[Grant]) -> Result<Granted, CliError> {
    server.read(change(server, path, &json!({ "give": grants }))).await
}

/// What a script asks for in vain, and how it gets it.
pub(crate) fn say_missing(path: &ScriptPath, missing: &[String], session: &mut Session<'_>) {
    if missing.is_empty() {
        return;
    }
    session.console.note(&format!("{path} asks for what it was not given:"));
    for grant in missing {
        session.console.note(&format!("  {}", clean_line(grant)));
    }
    session.console.note(&format!("give it with: sandmill grants give {path} all"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_chosen() {
        let grants = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Grant>>();
        let choices = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Choice>>();
        let asked = grants(&["runs:f/demo/*", "sql:read f/db/main"]);
        assert_eq!(chosen(&choices(&["all"]), &asked).unwrap(), asked);
        assert_eq!(chosen(&choices(&["sql:read f/db/*"]), &asked).unwrap(), grants(&["sql:read f/db/*"]));
        for bad in ["runs:f/demo/one", "sql:read f/db/other", "variables:f/x/y"] {
            let error = format!("{:?}", chosen(&choices(&[bad]), &asked).unwrap_err());
            assert!(error.contains("does not ask") && error.contains("runs:f/demo/*"), "{error}");
        }
        assert!("everything".parse::<Choice>().is_err());
    }
}
