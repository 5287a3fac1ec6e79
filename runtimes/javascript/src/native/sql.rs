//! SQL on resources, as js/sql.js uses it.

use super::{
    answer::answer,
    held::{Held, Holder},
};
use crate::{
    bindings::sandmill::{
        resources::resources::Handle,
        sql::sql::{self, Answer, DatabaseError, Error, Transaction},
    },
    output,
    text::Text,
};
use rquickjs::{Array, Ctx, IntoJs, Object, Result, Value, prelude::Func};
use std::cell::RefCell;

/// Empty once it has ended, so that it occupies a connection no longer than it must.
type Running<'js> = Holder<'js, RefCell<Option<Transaction>>>;

pub fn add<'js>(_ctx: &Ctx<'js>, native: &Object<'js>) -> Result<()> {
    native.set("sqlQuery", Func::from(query))?;
    native.set("sqlExecute", Func::from(execute))?;
    native.set("sqlBegin", Func::from(begin))?;
    native.set("sqlQueryWithin", Func::from(query_within))?;
    native.set("sqlExecuteWithin", Func::from(execute_within))?;
    native.set("sqlCommit", Func::from(commit))?;
    native.set("sqlRollback", Func::from(rollback))
}

fn query<'js>(ctx: Ctx<'js>, on: Holder<'js, Handle>, statement: Text, parameters: Text) -> Result<Array<'js>> {
    let answered = sql::query(&on.borrow().0, &statement.0, &parameters.0);
    told(&ctx, answered.map(Rows))
}

fn execute<'js>(ctx: Ctx<'js>, on: Holder<'js, Handle>, statement: Text, parameters: Text) -> Result<Array<'js>> {
    let written = sql::execute(&on.borrow().0, &statement.0, &parameters.0);
    told(&ctx, written.map(|rows| rows as f64))
}

fn begin<'js>(ctx: Ctx<'js>, on: Holder<'js, Handle>) -> Result<Array<'js>> {
    let begun = Transaction::begin(&on.borrow().0);
    told(&ctx, begun.map(|transaction| Held(RefCell::new(Some(transaction)))))
}

fn query_within<'js>(ctx: Ctx<'js>, within: Running<'js>, statement: Text, parameters: Text) -> Result<Array<'js>> {
    let answered = match within.borrow().0.borrow().as_ref() {
        Some(transaction) => transaction.query(&statement.0, &parameters.0),
        None => Err(ended()),
    };
    told(&ctx, answered.map(Rows))
}

fn execute_within<'js>(ctx: Ctx<'js>, within: Running<'js>, statement: Text, parameters: Text) -> Result<Array<'js>> {
    let written = match within.borrow().0.borrow().as_ref() {
        Some(transaction) => transaction.execute(&statement.0, &parameters.0),
        None => Err(ended()),
    };
    told(&ctx, written.map(|rows| rows as f64))
}

fn commit<'js>(ctx: Ctx<'js>, running: Running<'js>) -> Result<Array<'js>> {
    let transaction = running.borrow().0.take();
    told(&ctx, transaction.ok_or_else(ended).and_then(|transaction| transaction.commit()))
}

fn rollback<'js>(ctx: Ctx<'js>, running: Running<'js>) -> Result<Array<'js>> {
    let transaction = running.borrow().0.take();
    told(&ctx, transaction.ok_or_else(ended).and_then(|transaction| transaction.rollback()))
}

fn ended() -> Error {
    Error::Invalid("the transaction has ended".to_owned())
}

/// `[rows, columns]`
struct Rows(Answer);

impl<'js> IntoJs<'js> for Rows {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let columns = Array::new(ctx.clone())?;
        for (at, column) in self.0.columns.into_iter().enumerate() {
            let about = Object::new(ctx.clone())?;
            about.set("name", column.name)?;
            about.set("type", column.kind)?;
            columns.set(at, about)?;
        }
        let array = Array::new(ctx.clone())?;
        array.set(0, output::parse(ctx, self.0.rows)?)?;
        array.set(1, columns)?;
        array.into_js(ctx)
    }
}

/// As `answer`, with what the database said as a fourth part.
fn told<'js, T: IntoJs<'js>>(ctx: &Ctx<'js>, result: std::result::Result<T, Error>) -> Result<Array<'js>> {
    let (refusal, said) = match result {
        Ok(value) => return answer(ctx, Ok(value)),
        Err(Error::Denied(text)) => (("denied", text), None),
        Err(Error::Invalid(text)) => (("invalid", text), None),
        Err(Error::Database(said)) => (("database", said.message.clone()), Some(said)),
        Err(Error::TooLarge(text)) => (("too-large", text), None),
        Err(Error::Timeout(text)) => (("timeout", text), None),
        Err(Error::Unavailable(text)) => (("unavailable", text), None),
    };
    let array = answer(ctx, Err::<(), _>(refusal))?;
    if let Some(said) = said {
        array.set(3, record(ctx, said)?)?;
    }
    Ok(array)
}

/// Without the fields of which the database said nothing.
fn record<'js>(ctx: &Ctx<'js>, said: DatabaseError) -> Result<Object<'js>> {
    let record = Object::new(ctx.clone())?;
    record.set("code", said.code)?;
    record.set("message", said.message)?;
    for (name, text) in [("detail", said.detail), ("hint", said.hint), ("constraint", said.constraint)] {
        if let Some(text) = text {
            record.set(name, text)?;
        }
    }
    if let Some(position) = said.position {
        record.set("position", position)?;
    }
    Ok(record)
}
