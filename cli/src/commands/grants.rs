//! `sandmill grants list | give | take`

use clap::Subcommand;
use reqwest::{Method, RequestBuilder};
use sandmill_model::{Grant, ScriptPath};
use serde_json::json;

use super::answers;
use crate::{
    Session,
    client::{Granted, Problem, Server},
    error::CliError,
    render::{clean_line, table},
};

/// The code of the server for what is not there.
const NOT_FOUND: &str = "not_found";

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
        /// What is taken away, as `list` shows it, or `all` that was given; if some of it was not given, the rest is taken, and the
        /// exit code is 3
        #[arg(required = true)]
        grants: Vec<Choice>,
    },
}

/// A grant, or all that there are: to give, those that are asked for; to take, those that were given.
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
            Choice::One(grant) if asked.iter().any(|asked| asked.overlaps(grant)) => chosen.push(grant.clone()),
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
    match command {
        Command::List { path } => show(&server, &path, list(&server, &path), session).await,
        Command::Give { path, grants } => {
            let asked = if grants.contains(&Choice::All) { server.granted(&path).await?.asked } else { Vec::new() };
            let give: Vec<String> = grants
                .into_iter()
                .flat_map(|choice| match choice {
                    Choice::All => asked.clone(),
                    Choice::One(grant) => vec![grant.to_string()],
                })
                .collect();
            show(&server, &path, change(&server, &path, &json!({ "give": give })), session).await
        }
        Command::Take { path, grants } => take(&server, &path, &grants, session).await,
    }
}

/// Sends a request that is answered with what there is now, and shows that.
async fn show(server: &Server, path: &ScriptPath, request: RequestBuilder, session: &mut Session<'_>) -> Result<(), CliError> {
    let Some(granted) = answers::read::<Granted>(server, request, session).await? else { return Ok(()) };
    let rows: Vec<Vec<String>> =
        granted.given.iter().map(|given| [&given.grant, &given.by, &given.at].map(|cell| clean_line(cell)).to_vec()).collect();
    session.console.say(&table(&["GRANT", "BY", "AT"], &rows));
    say_missing(path, &granted.missing, session);
    Ok(())
}

/// Takes what is there, and then says what is not: nobody shall believe that something is gone which they called by a wrong name.
async fn take(server: &Server, path: &ScriptPath, choices: &[Choice], session: &mut Session<'_>) -> Result<(), CliError> {
    let given: Vec<String> = server.granted(path).await?.given.into_iter().map(|given| given.grant).collect();
    let (taken, absent) = among(choices, &given);
    let request = if taken.is_empty() { list(server, path) } else { change(server, path, &json!({ "take": taken })) };
    show(server, path, request, session).await?;
    if !absent.is_empty() {
        return Err(not_given(path, &absent));
    }
    if taken.is_empty() {
        session.console.note(&format!("{path} was given nothing, so nothing was taken"));
    }
    Ok(())
}

/// What is chosen of what was given, as the server writes it, and what was not given.
fn among(choices: &[Choice], given: &[String]) -> (Vec<String>, Vec<Grant>) {
    let (mut taken, mut absent) = (Vec::new(), Vec::new());
    for choice in choices {
        match choice {
            Choice::All => taken.extend_from_slice(given),
            Choice::One(grant) => {
                let before = taken.len();
                taken.extend(given.iter().filter(|text| text.parse::<Grant>().is_ok_and(|given| given == *grant)).cloned());
                if taken.len() == before {
                    absent.push(grant.clone());
                }
            }
        }
    }
    (taken, absent)
}

/// As the server says that something is not there.
fn not_given(path: &ScriptPath, absent: &[Grant]) -> CliError {
    let absent: Vec<String> = absent.iter().map(|grant| format!("`{grant}`")).collect();
    let detail = format!("{path} was not given {}; see what it was given with: sandmill grants list {path}", absent.join(", "));
    let whole = json!({ "code": NOT_FOUND, "detail": detail });
    CliError::Problem(Box::new(Problem { code: NOT_FOUND.to_owned(), detail, whole, ..Problem::default() }))
}

fn list(server: &Server, path: &ScriptPath) -> RequestBuilder {
    server.request(Method::GET, &format!("grants/{path}"))
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
        // Less than is asked for, too.
        assert_eq!(chosen(&choices(&["runs:f/demo/one"]), &asked).unwrap(), grants(&["runs:f/demo/one"]));
        for bad in ["runs:f/other/one", "sql:read f/db/other", "variables:f/x/y"] {
            let error = format!("{:?}", chosen(&choices(&[bad]), &asked).unwrap_err());
            assert!(error.contains("does not ask") && error.contains("runs:f/demo/*"), "{error}");
        }
        assert!("everything".parse::<Choice>().is_err());
    }

    #[test]
    fn what_was_given_is_taken_and_the_rest_is_told() {
        let choices = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Choice>>();
        // The last one is of a kind that a newer server knows.
        let given = ["runs:f/demo/*", "sql:read f/db/main", "moon:x"].map(str::to_owned);
        for (chosen, taken, absent) in [
            (&["all"][..], &["runs:f/demo/*", "sql:read f/db/main", "moon:x"][..], &[][..]),
            (&["sql: read f/db/main"], &["sql:read f/db/main"], &[]),
            (&["runs:f/demo/one"], &[], &["runs:f/demo/one"]),
            (&["runs:f/other", "runs:f/demo/*"], &["runs:f/demo/*"], &["runs:f/other"]),
        ] {
            let (found, missed) = among(&choices(chosen), &given);
            assert_eq!(found, taken, "{chosen:?}");
            assert_eq!(missed.iter().map(Grant::to_string).collect::<Vec<_>>(), absent, "{chosen:?}");
        }
        assert_eq!(among(&choices(&["all"]), &[]), (Vec::new(), Vec::new()));
        let error = not_given(&"f/demo/hello".parse().unwrap(), &["runs:f/x".parse().unwrap()]);
        assert_eq!(error.exit() as u8, 3);
    }
}
