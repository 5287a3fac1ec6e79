//! The call after each deployment.

use std::time::Instant;

use sandmill_model::{JsonText, version::Selector};

use super::desk::{Desk, Took};
use crate::{
    arguments::Arguments,
    client::{Order, Terms},
    error::{CliError, Exit},
};

/// What is called.
pub(super) struct Call {
    target: String,
    arguments: JsonText,
    terms: Terms,
}

impl Call {
    /// None if nothing is to be called.
    pub(super) fn of(target: Option<&str>, arguments: &Arguments) -> Result<Option<Self>, CliError> {
        let Some(target) = target else {
            if arguments.is_empty() {
                return Ok(None);
            }
            return Err(CliError::input("--args and --arg are for the script that --call names"));
        };
        Selector::split(target).map_err(|error| CliError::input(format!("--call {target:?}: {error}")))?;
        Ok(Some(Self { target: target.to_owned(), arguments: arguments.read()?, terms: Terms::default() }))
    }
}

/// Runs it and says what came of it. `since`: when the change was noticed.
///
/// # Errors
/// With what the command would end; it was said.
pub(super) async fn execute(desk: &Desk, call: &Call, since: Instant) -> Result<(), Exit> {
    let began = Instant::now();
    let order = Order { target: &call.target, arguments: &call.arguments, event: None, terms: &call.terms };
    let answer = desk.server().run(&order, |_| {}).await;
    let took = Took { whole: since.elapsed(), own: began.elapsed() };
    match answer {
        Ok(answer) => {
            desk.result(&call.target, &answer, &took);
            Ok(())
        }
        Err(error) => {
            desk.no_result(&call.target, &error, &took);
            Err(error.exit())
        }
    }
}
