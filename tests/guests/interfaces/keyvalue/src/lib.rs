//! Calls `wasi:keyvalue/store@0.2.0-draft`.

use calls::Call;
use serde_json::{Value, json};

wit_bindgen::generate!({
    path: ["../../../../wit/script", "../../../../wit/keyvalue"],
    inline: "
        package test:guest;

        world guest {
            import wasi:keyvalue/store@0.2.0-draft;
            export sandmill:script/main@0.1.0;
        }
    ",
    world: "test:guest/guest",
    generate_all,
});

use wasi::keyvalue::store::{self, Bucket, Error};

fn one(call: &Call<'_>) -> Option<Value> {
    let ok = |()| json!("ok");
    let bucket = match store::open("default") {
        Ok(bucket) => bucket,
        Err(error) => return Some(calls::result(Err::<(), _>(error), ok, fault)),
    };
    Some(match call.name() {
        "open" => calls::result(store::open(&call.text(1)).map(drop), ok, fault),
        "get" => calls::result(bucket.get(&call.text(1)), |value| json!(value), fault),
        "set" => calls::result(bucket.set(&call.text(1), &call.bytes(2)), ok, fault),
        "set_text" => calls::result(bucket.set(&call.text(1), call.text(2).as_bytes()), ok, fault),
        "delete" => calls::result(bucket.delete(&call.text(1)), ok, fault),
        "exists" => calls::result(bucket.exists(&call.text(1)), |exists| json!(exists), fault),
        "keys" => calls::result(all(&bucket), |pages| json!(pages), fault),
        "keys_at" => calls::result(bucket.list_keys(call.count(1)), |page| json!(page.keys), fault),
        _ => return None,
    })
}

/// All keys, a list for each page.
fn all(bucket: &Bucket) -> Result<Vec<Vec<String>>, Error> {
    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let page = bucket.list_keys(cursor)?;
        pages.push(page.keys);
        cursor = page.cursor;
        if cursor.is_none() {
            return Ok(pages);
        }
    }
}

fn fault(error: Error) -> (&'static str, String) {
    match error {
        Error::NoSuchStore => ("no_such_store", String::new()),
        Error::AccessDenied => ("access_denied", String::new()),
        Error::Other(text) => ("other", text),
    }
}

calls::main!(one);
