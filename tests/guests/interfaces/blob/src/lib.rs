//! Uses objects: `{"calls": [["put", "a/b", "text/plain"], ["write", 0, "text"], ["finish", 0], ["read", "a/b"], …]}` -> one result for each call.
//! Readers and writers are numbered as they come.

use calls::Call;
use serde_json::{Value, json};

wit_bindgen::generate!({
    path: ["../../../../wit/script", "../../../../wit/blob"],
    inline: "
        package sandmill:test;
        world blob {
            import sandmill:blob/blob@0.1.0;
            export sandmill:script/main@0.1.0;
        }
    ",
    world: "sandmill:test/blob",
    generate_all,
});

use sandmill::blob::blob::{self, Error, Object, Reader, Writer};

#[derive(Default)]
struct Held {
    readers: Vec<Option<Reader>>,
    writers: Vec<Option<Writer>>,
}

fn answer(call: &Call<'_>, held: &mut Held) -> Option<Value> {
    let text = |at: usize| maybe(call, at).unwrap_or_default();
    let number = |at: usize| call.count(at).unwrap_or_default() as usize;
    Some(match text(0) {
        "put" => result(blob::put(text(1), maybe(call, 2)), |writer| {
            held.writers.push(Some(writer));
            json!(held.writers.len() - 1)
        }),
        "write" => result(held.writers.get(number(1))?.as_ref()?.write(text(2).as_bytes()), |()| json!("ok")),
        // So many chunks of so many bytes, each of the chunk's number.
        "fill" => {
            for chunk in 0..number(2) {
                if let Err(error) = held.writers.get(number(1))?.as_ref()?.write(&vec![chunk as u8; number(3)]) {
                    return Some(refused(error));
                }
            }
            json!("ok")
        }
        "finish" => result(held.writers.get(number(1))?.as_ref()?.finish(), object),
        "drop" => {
            held.writers[number(1)] = None;
            json!(null)
        }
        "get" => result(blob::get(text(1)), |found| match found {
            Some(reader) => {
                let info = object(reader.info());
                held.readers.push(Some(reader));
                info
            }
            None => json!(null),
        }),
        "drop_reader" => {
            held.readers[number(1)] = None;
            json!(null)
        }
        "next" => result(held.readers.get(number(1))?.as_ref()?.read(number(2) as u32), |bytes| {
            json!(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        }),
        // All of it: how many bytes, the sum of them, and the longest chunk.
        "read" => match blob::get(text(1)) {
            Ok(Some(reader)) => {
                let (mut count, mut sum, mut longest) = (0, 0_u64, 0);
                loop {
                    match reader.read(u32::MAX) {
                        Ok(Some(bytes)) => {
                            count += bytes.len();
                            longest = longest.max(bytes.len());
                            sum += bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
                        }
                        Ok(None) => break json!([count, sum, longest]),
                        Err(error) => break refused(error),
                    }
                }
            }
            Ok(None) => json!(null),
            Err(error) => refused(error),
        },
        "stat" => result(blob::stat(text(1)), |found| found.map_or(json!(null), object)),
        "delete" => result(blob::delete(text(1)), |()| json!("ok")),
        "list" => result(blob::list(text(1), maybe(call, 2), call.count(3).unwrap_or(1_000) as u32), |objects| {
            objects.into_iter().map(|object| object.key).collect()
        }),
        // A handle that nobody gave.
        "forge" => {
            let reader = unsafe { Reader::from_handle(number(1) as u32) };
            object(reader.info())
        }
        _ => return None,
    })
}

fn maybe<'a>(call: &'a Call<'_>, at: usize) -> Option<&'a str> {
    call.value(at).as_str()
}

fn object(object: Object) -> Value {
    json!({ "key": object.key, "size": object.size, "modified": object.modified_ms > 1_600_000_000_000, "type": object.content_type })
}

fn result<T>(result: Result<T, Error>, value: impl FnOnce(T) -> Value) -> Value {
    match result {
        Ok(found) => value(found),
        Err(error) => refused(error),
    }
}

fn refused(error: Error) -> Value {
    match error {
        Error::Denied(text) => json!({ "denied": text }),
        Error::Invalid(text) => json!({ "invalid": text }),
        Error::TooLarge(text) => json!({ "too_large": text }),
        Error::Unavailable(text) => json!({ "unavailable": text }),
    }
}

calls::main!({
    let mut held = Held::default();
    move |call: &Call<'_>| answer(call, &mut held)
});
