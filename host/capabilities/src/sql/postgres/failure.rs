//! What the database or the way to it said, in our words. Nothing of it holds a password: neither the server nor the client ever repeats it.

use sqlx::postgres::{PgDatabaseError, PgErrorPosition};

use crate::{bindings::sql::DatabaseError, sql::Error};

pub(super) type Cause = sqlx::Error;

/// Of a statement that was stopped for its time.
const QUERY_CANCELED: &str = "57014";

pub(super) fn failure(error: &Cause) -> Error {
    match error {
        sqlx::Error::Database(error) => match error.try_downcast_ref::<PgDatabaseError>() {
            Some(error) if is_timeout(error) => Error::Timeout("the statement took too long and was stopped".to_owned()),
            Some(error) => Error::Database(Box::new(record(error))),
            None => Error::Unavailable("the database cannot be used".to_owned()),
        },
        sqlx::Error::Tls(error) => Error::Unavailable(format!(
            "TLS: {error} (the resource's field `tls` says what is asked of the server: verify-full, if nothing else)"
        )),
        sqlx::Error::Io(error) => Error::Unavailable(format!("the connection broke: {}", error.kind())),
        sqlx::Error::Protocol(text) => Error::Unavailable(format!("the database broke the protocol: {text}")),
        _ => Error::Unavailable("the database cannot be used".to_owned()),
    }
}

fn is_timeout(error: &PgDatabaseError) -> bool {
    error.code() == QUERY_CANCELED && error.routine() == Some("ProcessInterrupts") && error.message().contains("statement timeout")
}

fn record(error: &PgDatabaseError) -> DatabaseError {
    let position = match error.position() {
        Some(PgErrorPosition::Original(position)) => u32::try_from(position).ok(),
        _ => None,
    };
    DatabaseError {
        code: error.code().to_owned(),
        message: error.message().to_owned(),
        detail: error.detail().map(str::to_owned),
        hint: error.hint().map(str::to_owned),
        constraint: error.constraint().map(str::to_owned),
        position,
    }
}
