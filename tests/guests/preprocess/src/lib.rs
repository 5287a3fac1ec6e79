//! A script with every export: a preprocessor that does what the event says, and a schema.
//! The result says whether `run` saw the instance in which `preprocess` was called.

use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

wit_bindgen::generate!({
    path: ["../../../wit/script", "../../../wit/context", "../../../wit/log", "../../../wit/output", "../../../wit/state", "../../../wit/runs", "../../../wit/resources", "../../../wit/variables", "../../../wit/sql", "../../../wit/blob", "../../../wit/publish", "../../../wit/guest"],
    world: "sandmill:guest/script-full",
    generate_all,
});

use exports::sandmill::script::{
    main::{Error, Guest as Main, Output},
    preprocessor::Guest as Preprocessor,
    schema::Guest as Schema,
};

static PREPROCESSED: AtomicU32 = AtomicU32::new(0);

struct Script;

impl Main for Script {
    fn run(args: String) -> Result<Output, Error> {
        println!("running");
        Ok(Output::Json(format!("{{\"args\":{args},\"preprocessed\":{}}}", PREPROCESSED.load(Ordering::Relaxed))))
    }
}

impl Preprocessor for Script {
    fn preprocess(event: String) -> Result<Option<String>, Error> {
        PREPROCESSED.fetch_add(1, Ordering::Relaxed);
        println!("preprocessing");
        let event: Value = serde_json::from_str(&event).unwrap_or_default();
        match event["do"].as_str() {
            Some("skip") => Ok(None),
            Some("fail") => Err(Error { name: "EventError".into(), message: "no".into(), stack: None, details: None }),
            Some("reject") => {
                let details = Some(json!({ "status": event["status"] }).to_string());
                Err(Error { name: "Rejected".into(), message: "not you".into(), stack: None, details })
            }
            Some("nonsense") => Ok(Some("{".into())),
            Some("large") => Ok(Some(json!({ "name": "x".repeat(1024 * 1024) }).to_string())),
            Some("loop") => loop {
                std::hint::black_box(0);
            },
            _ => Ok(Some(json!({ "name": event["body"]["name"] }).to_string())),
        }
    }
}

impl Schema for Script {
    fn describe() -> String {
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": { "name": { "type": "string" } },
            "required": ["name"],
        })
        .to_string()
    }
}

export!(Script);
