//! SQL on a resource of the type `postgresql` or `sqlite`. Granted by path and mode: `[grants] sql = ["read f/demo/database"]`.
//!
//! A call takes one statement; parameters are bound, never pasted: `$1`, `$2`, …. Errors are named `denied`, `invalid`, `database`,
//! `too-large`, `timeout` and `unavailable`; the details of `database` are a [`DatabaseError`].

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    Result,
    host::sql as host,
    json,
    resources::{self, Resource},
};

/// What the database said: the details of an error of the name `database`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseError {
    /// SQLSTATE of PostgreSQL, extended result code of SQLite.
    pub code: String,
    /// In the database's words, as all that follows.
    pub message: String,
    /// More of it.
    pub detail: Option<String>,
    /// What may be done about it.
    pub hint: Option<String>,
    /// Name of the constraint that is not kept.
    pub constraint: Option<String>,
    /// Character of the statement, from 1.
    pub position: Option<u32>,
}

/// A column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// As the statement names it.
    pub name: String,
    /// The database's name of its type, in lower case, e.g. `int8`.
    pub kind: String,
}

/// Rows as JSON text, and what the columns are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// In their order.
    pub columns: Vec<Column>,
    /// A JSON array with an object for each row. Integers beyond ±(2^53 - 1) and all of `numeric` are strings of their digits, times are
    /// RFC 3339, bytes base64.
    pub rows: String,
}

/// The database of a resource.
#[derive(Debug)]
pub struct Database(Resource);

/// The database at a path.
///
/// # Errors
/// Those of [`resources::open`].
pub fn open(path: &str) -> Result<Database> {
    resources::open(path).map(Database)
}

/// What a database and a transaction have in common.
pub trait Session {
    /// One statement and its parameters, a JSON array's text.
    ///
    /// # Errors
    /// As the module says.
    fn query_json(&self, statement: &str, parameters: &str) -> Result<Answer>;

    /// The same for the number of rows that were written.
    ///
    /// # Errors
    /// As the module says.
    fn execute_json(&self, statement: &str, parameters: &str) -> Result<u64>;

    /// The rows of one statement; at most 100,000 and 16 MiB. `parameters` is a tuple, an array or a slice, `()` if there are none.
    ///
    /// # Errors
    /// As the module says, and if a row is no `Row`.
    fn query<Row: DeserializeOwned>(&self, statement: &str, parameters: impl Serialize) -> Result<Vec<Row>> {
        let answer = self.query_json(statement, &parameters_text(&parameters)?)?;
        Ok(json::from_str(&answer.rows)?)
    }

    /// The number of rows that a statement wrote.
    ///
    /// # Errors
    /// As the module says.
    fn execute(&self, statement: &str, parameters: impl Serialize) -> Result<u64> {
        self.execute_json(statement, &parameters_text(&parameters)?)
    }
}

/// `()` is `null`, which stands for no parameters.
fn parameters_text(parameters: &impl Serialize) -> Result<String> {
    let text = json::to_string(parameters)?;
    Ok(if text == "null" { "[]".to_owned() } else { text })
}

impl Session for Database {
    fn query_json(&self, statement: &str, parameters: &str) -> Result<Answer> {
        host::query(&self.0.0, statement, parameters)
    }

    fn execute_json(&self, statement: &str, parameters: &str) -> Result<u64> {
        host::execute(&self.0.0, statement, parameters)
    }
}

impl Database {
    /// All of it or nothing: commits what `work` did if it returns `Ok`, and undoes it if not. At most 4 at once.
    ///
    /// # Errors
    /// That of `work`, and as the module says.
    pub fn transaction<T>(&self, work: impl FnOnce(&Transaction) -> Result<T>) -> Result<T> {
        let transaction = Transaction(host::Transaction::begin(&self.0.0)?);
        match work(&transaction) {
            Ok(value) => transaction.0.commit().map(|()| value),
            Err(error) => {
                // It is undone in any case, and the error of `work` says why.
                let _ = transaction.0.rollback();
                Err(error)
            }
        }
    }
}

/// Several statements, all or none.
#[derive(Debug)]
pub struct Transaction(host::Transaction);

impl Session for Transaction {
    fn query_json(&self, statement: &str, parameters: &str) -> Result<Answer> {
        self.0.query(statement, parameters)
    }

    fn execute_json(&self, statement: &str, parameters: &str) -> Result<u64> {
        self.0.execute(statement, parameters)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{DatabaseError, Session};
    use crate::{Error, Result, testing::Fakes};

    #[test]
    fn rows_are_typed_and_work_is_undone() {
        let fakes = Fakes::new().sql("f/demo/db", |statement, parameters| match statement {
            "SELECT" => Ok(json!([{"id": parameters[0]}])),
            "WRITE" => Ok(json!(2)),
            _ => Err(Error::new("database", "no").with_details(&DatabaseError { code: "23505".to_owned(), ..DatabaseError::default() })),
        });
        let world = fakes.install();
        #[derive(serde::Deserialize)]
        struct Row {
            id: u32,
        }
        let db = super::open("f/demo/db").unwrap();
        assert_eq!(db.query::<Row>("SELECT", (7, "x")).unwrap()[0].id, 7);
        assert_eq!(db.execute("WRITE", ()).unwrap(), 2);
        let error = db.execute("BAD", ()).unwrap_err();
        assert_eq!(error.details_as::<DatabaseError>().unwrap().code, "23505");
        assert_eq!(db.transaction(|tx| tx.execute("WRITE", [1])).unwrap(), 2);
        let undone: Result<()> = db.transaction(|tx| tx.execute("BAD", ()).map(|_| ()));
        assert_eq!(undone.unwrap_err().name, "database");
        assert_eq!(world.statements(), ["SELECT", "WRITE", "BAD", "BEGIN", "WRITE", "COMMIT", "BEGIN", "BAD", "ROLLBACK"]);
        assert_eq!(super::open("f/demo/other").unwrap_err().name, "denied");
    }
}
