//! Resources, variables, SQL and objects as the cases know them: a few paths, a database that says what it was asked, a map.

#![expect(unreachable_pub, reason = "the generated bindings export the handles' types again")]

use wasmtime::component::Resource;

use super::{
    Host,
    bindings::sandmill::{
        blob::blob,
        publish::publish,
        resources::resources,
        sql::sql::{self, Answer, Column, DatabaseError},
        variables::variables,
    },
};

#[derive(Clone, Default)]
pub struct Handle(String);

#[derive(Clone, Copy, Default)]
pub struct Transaction {
    has_ended: bool,
}

#[derive(Clone, Default)]
pub struct Reader {
    key: String,
    read: usize,
}

#[derive(Clone, Default)]
pub struct Writer {
    key: String,
    object: Stored,
}

#[derive(Clone, Default)]
pub(crate) struct Stored {
    content_type: Option<String>,
    bytes: Vec<u8>,
}

const MODIFIED_MS: u64 = 1_700_000_000_000;
const READ_BYTES_MAX: u32 = 1 << 20;
/// What the second read of `failing` says.
const FAILING: &str = "reports/failing";

impl resources::Host for Host {
    fn open(&mut self, path: String) -> Result<Resource<Handle>, resources::Error> {
        match path.as_str() {
            "f/demo/db" | "f/demo/account" | "f/demo/broker" => {
                self.table.push(Handle(path)).map_err(|_| resources::Error::Unavailable("too many handles".to_owned()))
            }
            "f/demo/denied" => Err(resources::Error::Denied("no grant covers f/demo/denied".to_owned())),
            "../etc" => Err(resources::Error::Invalid("../etc is no path".to_owned())),
            _ => Err(resources::Error::NotFound(format!("there is no resource at {path}"))),
        }
    }
}

impl resources::HostHandle for Host {
    fn path(&mut self, handle: Resource<Handle>) -> String {
        self.table.get(&handle).cloned().unwrap_or_default().0
    }

    fn kind(&mut self, _: Resource<Handle>) -> String {
        "postgresql".to_owned()
    }

    fn fields(&mut self, _: Resource<Handle>) -> String {
        r#"{"host":"db.example.com","port":5432}"#.to_owned()
    }

    fn placeholder(&mut self, _: Resource<Handle>, pointer: String) -> Result<String, resources::Error> {
        match pointer.as_str() {
            "/password" => Ok("placeholder-1".to_owned()),
            _ => Err(resources::Error::Invalid(format!("{pointer} is no secret field"))),
        }
    }

    fn drop(&mut self, handle: Resource<Handle>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl variables::Host for Host {
    fn get(&mut self, path: String) -> Result<String, variables::Error> {
        match path.as_str() {
            "f/demo/region" => Ok("eu-north".to_owned()),
            "f/demo/token" => Err(variables::Error::Denied("f/demo/token is secret".to_owned())),
            _ => Err(variables::Error::NotFound(format!("there is no variable at {path}"))),
        }
    }

    fn placeholder(&mut self, path: String) -> Result<String, variables::Error> {
        match path.as_str() {
            "f/demo/token" => Ok("placeholder-2".to_owned()),
            _ => Err(variables::Error::NotFound(format!("there is no variable at {path}"))),
        }
    }
}

/// One row with the statement and its parameters.
#[expect(clippy::result_large_err, reason = "the error is the generated bindings'")]
fn answer(statement: &str, parameters: &str) -> Result<Answer, sql::Error> {
    match statement {
        "FAIL" => Err(sql::Error::Database(DatabaseError {
            code: "23505".to_owned(),
            message: "duplicate key".to_owned(),
            detail: Some("Key (id)=(1) already exists.".to_owned()),
            hint: None,
            constraint: Some("things_pkey".to_owned()),
            position: Some(7),
        })),
        "SLOW" => Err(sql::Error::Timeout("stopped after 30 s".to_owned())),
        "MANY" => Err(sql::Error::TooLarge("more than 100000 rows".to_owned())),
        _ => {
            let column = |name: &str| Column { name: name.to_owned(), kind: "text".to_owned() };
            let rows = serde_json::json!([{ "statement": statement, "parameters": parameters }]).to_string();
            Ok(Answer { columns: vec![column("statement"), column("parameters")], rows })
        }
    }
}

impl publish::Host for Host {
    fn publish(&mut self, via: Resource<Handle>, message: publish::Message) -> Result<String, publish::Error> {
        match self.table.get(&via).map(|handle| handle.0.as_str()) {
            Ok("f/demo/broker") => {
                let publish::Message { to, payload, headers, id, kept } = message;
                Ok(serde_json::json!({ "to": to, "payload": payload, "headers": headers, "id": id, "kept": kept }).to_string())
            }
            _ => Err(publish::Error::Invalid("the resource is no broker".to_owned())),
        }
    }
}

impl sql::Host for Host {
    fn query(&mut self, on: Resource<Handle>, statement: String, parameters: String) -> Result<Answer, sql::Error> {
        match self.table.get(&on).map(|handle| handle.0.as_str()) {
            Ok("f/demo/db") => answer(&statement, &parameters),
            _ => Err(sql::Error::Invalid("the resource is no database".to_owned())),
        }
    }

    fn execute(&mut self, _: Resource<Handle>, statement: String, parameters: String) -> Result<u64, sql::Error> {
        self.log.push(format!("execute: {statement} {parameters}"));
        answer(&statement, &parameters).map(|_| 9_007_199_254_740_991)
    }
}

impl sql::HostTransaction for Host {
    fn begin(&mut self, _: Resource<Handle>) -> Result<Resource<Transaction>, sql::Error> {
        self.log.push("begin".to_owned());
        self.table.push(Transaction::default()).map_err(|_| sql::Error::Unavailable("too many handles".to_owned()))
    }

    fn query(&mut self, _: Resource<Transaction>, statement: String, parameters: String) -> Result<Answer, sql::Error> {
        self.log.push(format!("query: {statement} {parameters}"));
        answer(&statement, &parameters)
    }

    fn execute(&mut self, _: Resource<Transaction>, statement: String, parameters: String) -> Result<u64, sql::Error> {
        self.log.push(format!("execute: {statement} {parameters}"));
        answer(&statement, &parameters).map(|_| 1)
    }

    fn commit(&mut self, transaction: Resource<Transaction>) -> Result<(), sql::Error> {
        self.end("commit", &transaction);
        Ok(())
    }

    fn rollback(&mut self, transaction: Resource<Transaction>) -> Result<(), sql::Error> {
        self.end("rollback", &transaction);
        Ok(())
    }

    fn drop(&mut self, transaction: Resource<Transaction>) -> wasmtime::Result<()> {
        if !self.table.delete(transaction)?.has_ended {
            self.log.push("dropped".to_owned());
        }
        Ok(())
    }
}

impl Host {
    fn end(&mut self, how: &str, transaction: &Resource<Transaction>) {
        self.log.push(how.to_owned());
        if let Ok(transaction) = self.table.get_mut(transaction) {
            transaction.has_ended = true;
        }
    }

    fn object(&self, key: &str) -> Option<blob::Object> {
        let stored = self.objects.get(key)?;
        let size = stored.bytes.len() as u64;
        Some(blob::Object { key: key.to_owned(), size, modified_ms: MODIFIED_MS, content_type: stored.content_type.clone() })
    }
}

fn permit(key: &str) -> Result<(), blob::Error> {
    match key.starts_with("reports/") {
        true => Ok(()),
        false => Err(blob::Error::Denied(format!("no grant covers {key}"))),
    }
}

fn unavailable<E>(_: E) -> blob::Error {
    blob::Error::Unavailable("too many handles".to_owned())
}

impl blob::Host for Host {
    fn get(&mut self, key: String) -> Result<Option<Resource<Reader>>, blob::Error> {
        permit(&key)?;
        if !self.objects.contains_key(&key) {
            return Ok(None);
        }
        self.table.push(Reader { key, read: 0 }).map(Some).map_err(unavailable)
    }

    fn put(&mut self, key: String, content_type: Option<String>) -> Result<Resource<Writer>, blob::Error> {
        permit(&key)?;
        self.table.push(Writer { key, object: Stored { content_type, bytes: Vec::new() } }).map_err(unavailable)
    }

    fn stat(&mut self, key: String) -> Result<Option<blob::Object>, blob::Error> {
        permit(&key)?;
        Ok(self.object(&key))
    }

    fn delete(&mut self, key: String) -> Result<(), blob::Error> {
        permit(&key)?;
        self.objects.remove(&key);
        Ok(())
    }

    fn list(&mut self, prefix: String, after: Option<String>, limit: u32) -> Result<Vec<blob::Object>, blob::Error> {
        let keys = self.objects.keys().filter(|key| key.starts_with(&prefix) && after.as_ref().is_none_or(|after| *key > after));
        Ok(keys.take(limit as usize).filter_map(|key| self.object(key)).collect())
    }
}

impl blob::HostReader for Host {
    fn info(&mut self, reader: Resource<Reader>) -> blob::Object {
        let key = self.table.get(&reader).cloned().unwrap_or_default().key;
        self.object(&key).unwrap_or(blob::Object { key, size: 0, modified_ms: 0, content_type: None })
    }

    fn read(&mut self, reader: Resource<Reader>, max: u32) -> Result<Option<Vec<u8>>, blob::Error> {
        let reader = self.table.get_mut(&reader).map_err(unavailable)?;
        let bytes = self.objects.get(&reader.key).map(|object| &object.bytes[reader.read..]).unwrap_or_default();
        if reader.key == FAILING && reader.read > 0 {
            return Err(blob::Error::Unavailable("the store went away".to_owned()));
        }
        let piece = &bytes[..bytes.len().min(max.min(READ_BYTES_MAX) as usize)];
        reader.read += piece.len();
        Ok((!piece.is_empty()).then(|| piece.to_vec()))
    }

    fn drop(&mut self, reader: Resource<Reader>) -> wasmtime::Result<()> {
        self.table.delete(reader)?;
        Ok(())
    }
}

impl blob::HostWriter for Host {
    fn write(&mut self, writer: Resource<Writer>, bytes: Vec<u8>) -> Result<(), blob::Error> {
        let writer = self.table.get_mut(&writer).map_err(unavailable)?;
        if bytes.len() > READ_BYTES_MAX as usize {
            return Err(blob::Error::TooLarge("more than 1 MiB in one piece".to_owned()));
        }
        writer.object.bytes.extend(bytes);
        Ok(())
    }

    fn finish(&mut self, writer: Resource<Writer>) -> Result<blob::Object, blob::Error> {
        let Writer { key, object } = self.table.get(&writer).cloned().map_err(unavailable)?;
        self.objects.insert(key.clone(), object);
        self.object(&key).ok_or_else(|| blob::Error::Invalid("gone".to_owned()))
    }

    fn drop(&mut self, writer: Resource<Writer>) -> wasmtime::Result<()> {
        self.table.delete(writer)?;
        Ok(())
    }
}
