//! `sandmill:sql`

use super::{
    bindings::sandmill::sql::sql::{self as wit, Error as Fault},
    named,
    resources::Handle,
};
use crate::{
    Error, Result,
    sql::{Answer, Column, DatabaseError},
};

fn told(fault: Fault) -> Error {
    match fault {
        Fault::Denied(message) => named("denied", message),
        Fault::Invalid(message) => named("invalid", message),
        Fault::TooLarge(message) => named("too-large", message),
        Fault::Timeout(message) => named("timeout", message),
        Fault::Unavailable(message) => named("unavailable", message),
        Fault::Database(said) => {
            let error = named("database", said.message.clone());
            let wit::DatabaseError { code, message, detail, hint, constraint, position } = said;
            error.with_details(&DatabaseError { code, message, detail, hint, constraint, position })
        }
    }
}

fn answer(answer: wit::Answer) -> Answer {
    let columns = answer.columns.into_iter().map(|column| Column { name: column.name, kind: column.kind }).collect();
    Answer { columns, rows: answer.rows }
}

pub(crate) fn query(on: &Handle, statement: &str, parameters: &str) -> Result<Answer> {
    wit::query(&on.0, statement, parameters).map(answer).map_err(told)
}

pub(crate) fn execute(on: &Handle, statement: &str, parameters: &str) -> Result<u64> {
    wit::execute(&on.0, statement, parameters).map_err(told)
}

#[derive(Debug)]
pub(crate) struct Transaction(wit::Transaction);

impl Transaction {
    pub(crate) fn begin(on: &Handle) -> Result<Self> {
        wit::Transaction::begin(&on.0).map(Self).map_err(told)
    }

    pub(crate) fn query(&self, statement: &str, parameters: &str) -> Result<Answer> {
        self.0.query(statement, parameters).map(answer).map_err(told)
    }

    pub(crate) fn execute(&self, statement: &str, parameters: &str) -> Result<u64> {
        self.0.execute(statement, parameters).map_err(told)
    }

    pub(crate) fn commit(&self) -> Result<()> {
        self.0.commit().map_err(told)
    }

    pub(crate) fn rollback(&self) -> Result<()> {
        self.0.rollback().map_err(told)
    }
}
