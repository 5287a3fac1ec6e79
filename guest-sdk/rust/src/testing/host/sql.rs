//! Databases that were faked: a function for all statements.

use std::cell::Cell;

use serde_json::Value;

use super::resources::Handle;
use crate::{
    Error, Result,
    sql::{Answer, Column},
    testing::world,
};

fn record(statement: &str) -> Result<()> {
    world::current()?.recorded.borrow_mut().statements.push(statement.to_owned());
    Ok(())
}

fn call(path: &str, statement: &str, parameters: &str) -> Result<Value> {
    let world = world::current()?;
    let how = format!("Fakes::new().sql({path:?}, |statement, parameters| Ok(json!([])))");
    let database = world.databases.get(path).cloned().ok_or_else(|| world::denied("this database was not faked", &how))?;
    let parameters: Vec<Value> =
        serde_json::from_str(parameters).map_err(|error| Error::new("invalid", format!("the parameters are no JSON array: {error}")))?;
    record(statement)?;
    database(statement, &parameters)
}

fn rows(answer: &Value) -> Result<Answer> {
    let rows = answer.as_array().ok_or_else(|| Error::new("invalid", "the fake of a query returns an array of rows"))?;
    let first = rows.first().and_then(Value::as_object);
    let columns = first.into_iter().flat_map(|row| row.keys()).map(|name| Column { name: name.clone(), kind: "fake".to_owned() }).collect();
    Ok(Answer { columns, rows: answer.to_string() })
}

fn count(answer: &Value) -> Result<u64> {
    let written = answer.as_u64().or_else(|| answer.as_array().map(|rows| rows.len() as u64));
    written.ok_or_else(|| Error::new("invalid", "the fake of a statement returns the number of rows that were written"))
}

pub(crate) fn query(on: &Handle, statement: &str, parameters: &str) -> Result<Answer> {
    rows(&call(&on.path(), statement, parameters)?)
}

pub(crate) fn execute(on: &Handle, statement: &str, parameters: &str) -> Result<u64> {
    count(&call(&on.path(), statement, parameters)?)
}

#[derive(Debug)]
pub(crate) struct Transaction {
    path: String,
    has_ended: Cell<bool>,
}

impl Transaction {
    pub(crate) fn begin(on: &Handle) -> Result<Self> {
        record("BEGIN")?;
        Ok(Self { path: on.path(), has_ended: Cell::new(false) })
    }

    pub(crate) fn query(&self, statement: &str, parameters: &str) -> Result<Answer> {
        rows(&call(&self.path, statement, parameters)?)
    }

    pub(crate) fn execute(&self, statement: &str, parameters: &str) -> Result<u64> {
        count(&call(&self.path, statement, parameters)?)
    }

    pub(crate) fn commit(&self) -> Result<()> {
        self.has_ended.set(true);
        record("COMMIT")
    }

    pub(crate) fn rollback(&self) -> Result<()> {
        self.has_ended.set(true);
        record("ROLLBACK")
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.has_ended.get() {
            // Without a world there is nobody to tell.
            let _ = record("ROLLBACK");
        }
    }
}
