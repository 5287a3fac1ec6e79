//! Uses databases: `{"calls": [["open", "f/a/db"], ["query", 0, "SELECT $1::int8", "[1]"], ["begin", 0], ["in.execute", 0, …], ["commit", 0]]}` -> one
//! result for each call. Handles and transactions are numbered as they come.

use calls::Call;
use serde_json::{Value, json, value::RawValue};

wit_bindgen::generate!({
    path: ["../../../../wit/script", "../../../../wit/resources", "../../../../wit/sql"],
    inline: "
        package sandmill:test;
        world sql {
            import sandmill:resources/resources@0.1.0;
            import sandmill:sql/sql@0.1.0;
            export sandmill:script/main@0.1.0;
        }
    ",
    world: "sandmill:test/sql",
    generate_all,
});

use sandmill::{
    resources::resources::{self, Handle},
    sql::sql::{self, Answer, Error, Transaction},
};

#[derive(Default)]
struct Held {
    handles: Vec<Handle>,
    transactions: Vec<Option<Transaction>>,
}

fn answer(call: &Call<'_>, held: &mut Held) -> Option<Box<RawValue>> {
    let text = |at: usize| call.value(at).as_str().unwrap_or_default();
    let number = |at: usize| call.count(at).unwrap_or_default() as usize;
    let parameters = || call.value(3).as_str().unwrap_or("[]");
    let name = text(0);
    Some(match name {
        "open" => match resources::open(text(1)) {
            Ok(handle) => {
                held.handles.push(handle);
                raw(&json!(held.handles.len() - 1))
            }
            Err(resources::Error::Denied(text)) => raw(&json!({ "denied": text })),
            Err(error) => raw(&json!({ "error": error.to_string() })),
        },
        "query" => answered(sql::query(held.handles.get(number(1))?, text(2), parameters())),
        // How much there is of it.
        "size" => result(sql::query(held.handles.get(number(1))?, text(2), parameters()), |answer| json!(answer.rows.len())),
        "execute" => result(sql::execute(held.handles.get(number(1))?, text(2), parameters()), |count| json!(count)),
        // A statement and parameters of so many bytes.
        "long" => {
            let statement = format!("SELECT '{}' AS a", "x".repeat(number(2)));
            let parameters = format!("[\"{}\"]", "x".repeat(number(3)));
            result(sql::query(held.handles.get(number(1))?, &statement, &parameters), |answer| json!(answer.rows.len()))
        }
        "begin" => match Transaction::begin(held.handles.get(number(1))?) {
            Ok(transaction) => {
                held.transactions.push(Some(transaction));
                raw(&json!(held.transactions.len() - 1))
            }
            Err(error) => raw(&refused(error)),
        },
        "in.query" => answered(held.transactions.get(number(1))?.as_ref()?.query(text(2), parameters())),
        "in.execute" => result(held.transactions.get(number(1))?.as_ref()?.execute(text(2), parameters()), |count| json!(count)),
        "commit" => result(held.transactions.get(number(1))?.as_ref()?.commit(), |()| json!("ok")),
        "rollback" => result(held.transactions.get(number(1))?.as_ref()?.rollback(), |()| json!("ok")),
        "drop" => {
            held.transactions[number(1)] = None;
            raw(&json!(null))
        }
        // Keeps what it holds and never returns.
        "spin" => loop {
            std::hint::black_box(());
        },
        // A transaction that nobody began.
        "forge" => {
            let forged = unsafe { Transaction::from_handle(number(1) as u32) };
            result(forged.commit(), |()| json!("ok"))
        }
        _ => return None,
    })
}

fn raw(value: &Value) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_default()
}

/// The rows as they came, without any number being read; with `kinds` if there are no rows.
fn answered(result: Result<Answer, Error>) -> Box<RawValue> {
    match result {
        Ok(Answer { columns, rows }) if rows == "[]" => {
            raw(&json!({ "columns": columns.iter().map(|column| format!("{} {}", column.name, column.kind)).collect::<Vec<_>>() }))
        }
        Ok(answer) => RawValue::from_string(answer.rows).unwrap_or_else(|error| raw(&json!({ "no_json": error.to_string() }))),
        Err(error) => raw(&refused(error)),
    }
}

fn result<T>(result: Result<T, Error>, value: impl FnOnce(T) -> Value) -> Box<RawValue> {
    raw(&match result {
        Ok(found) => value(found),
        Err(error) => refused(error),
    })
}

fn refused(error: Error) -> Value {
    match error {
        Error::Denied(text) => json!({ "denied": text }),
        Error::Invalid(text) => json!({ "invalid": text }),
        Error::Database(error) => json!({
            "database": error.code, "message": error.message, "detail": error.detail, "hint": error.hint, "constraint": error.constraint,
            "position": error.position,
        }),
        Error::TooLarge(text) => json!({ "too_large": text }),
        Error::Timeout(text) => json!({ "timeout": text }),
        Error::Unavailable(text) => json!({ "unavailable": text }),
    }
}

calls::main!({
    let mut held = Held::default();
    move |call: &Call<'_>| answer(call, &mut held)
});
