//! `sandmill quotas`; and limits as they are said on the command line, `runs_per_day=1000`, and shown.

use reqwest::Method;
use sandmill_model::{
    Quotas,
    quota::{NAME_RULE, is_name},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::answers;
use crate::{Session, client::Server, error::CliError};

#[derive(Clone, Debug, clap::Args)]
pub struct Options {}

#[derive(Debug, Deserialize)]
struct Allotted {
    plan: Option<String>,
    quotas: Map<String, Value>,
}

pub(crate) async fn execute(session: &mut Session<'_>) -> Result<(), CliError> {
    let server = Server::of(&session.globals)?;
    let request = server.request(Method::GET, "quotas");
    let Some(Allotted { plan, quotas }) = answers::read::<Allotted>(&server, request, session).await? else { return Ok(()) };
    answers::facts(&[("plan", plan.unwrap_or_else(|| "none".to_owned())), ("limits", shown(&quotas))], session);
    Ok(())
}

/// A name of a workspace or a plan, which becomes part of a URL.
pub(super) fn read_name(text: &str) -> Result<String, String> {
    if is_name(text) { Ok(text.to_owned()) } else { Err(format!("a name is {NAME_RULE}")) }
}

/// `name=number`, `name=none` for no limit, or `name=plan` for that of the plan.
pub(super) fn read_limit(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("a limit is written name=number, e.g. runs_per_day=1000")?;
    if !Quotas::NAMES.contains(&name) {
        return Err(format!("there is no limit {name}; there are {}", Quotas::NAMES.join(", ")));
    }
    let value = match value {
        "none" => Value::Null,
        "plan" => Value::from("plan"),
        number => Value::from(number.parse::<u64>().map_err(|_| format!("{name}: a number, `none` or `plan`"))?),
    };
    Ok((name.to_owned(), value))
}

pub(super) fn object(limits: Vec<(String, Value)>) -> Map<String, Value> {
    limits.into_iter().collect()
}

/// Those that are limits, one after the other.
pub(super) fn shown(quotas: &Map<String, Value>) -> String {
    let limits: Vec<String> = quotas.iter().filter(|(_, limit)| !limit.is_null()).map(|(name, limit)| format!("{name}={limit}")).collect();
    if limits.is_empty() { "no limits".to_owned() } else { limits.join(" ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn limits_are_read_and_shown() {
        assert_eq!(read_limit("scripts=5").unwrap(), ("scripts".to_owned(), json!(5)));
        assert_eq!(read_limit("scripts=none").unwrap().1, Value::Null);
        assert_eq!(read_limit("scripts=plan").unwrap().1, json!("plan"));
        for bad in ["scripts", "scripts=", "scripts=-1", "scripts=1.5", "skripts=5"] {
            assert!(read_limit(bad).is_err(), "{bad}");
        }
        let quotas = object(vec![read_limit("scripts=5").unwrap(), read_limit("triggers=none").unwrap()]);
        assert_eq!(shown(&quotas), "scripts=5");
        assert_eq!(shown(&Map::new()), "no limits");
        assert!(read_name("acme-1").is_ok() && read_name("a/b").is_err());
    }
}
