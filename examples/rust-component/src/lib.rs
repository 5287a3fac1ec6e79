//! Counts the words of a text: which there are, how often, the most frequent first.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

wit_bindgen::generate!({
    path: ["../../wit/script", "../../wit/context", "../../wit/log", "../../wit/output", "../../wit/state", "../../wit/runs", "../../wit/resources", "../../wit/variables", "../../wit/sql", "../../wit/blob", "../../wit/publish", "../../wit/guest"],
    inline: "
        package example:words;

        world words {
            import sandmill:log/log@0.1.0;
            export sandmill:script/main@0.1.0;
            export sandmill:script/schema@0.1.0;
        }
    ",
    generate_all,
});

use exports::sandmill::script::{
    main::{Error, Guest as Main, Output},
    schema::Guest as Schema,
};
use sandmill::log::log::{self, Level};

#[derive(Deserialize)]
struct Arguments {
    text: String,
    #[serde(default = "ten")]
    top: usize,
}

fn ten() -> usize {
    10
}

#[derive(Serialize)]
struct Words<'a> {
    total: usize,
    distinct: usize,
    top: Vec<(&'a str, usize)>,
}

struct Component;

impl Main for Component {
    fn run(args: String) -> Result<Output, Error> {
        let arguments: Arguments = serde_json::from_str(&args).map_err(error)?;
        let text = arguments.text.to_lowercase();
        let words = count(&text, arguments.top);
        let fields = format!("{{\"distinct\":{}}}", words.distinct);
        log::write(Level::Info, "counted", Some(&fields));
        serde_json::to_string(&words).map(Output::Json).map_err(error)
    }
}

impl Schema for Component {
    /// Checked by the host before the sandbox starts, and shown to callers.
    fn describe() -> String {
        r#"{
            "type": "object",
            "properties": {
                "text": {"type": "string", "description": "What to count the words of"},
                "top": {"type": "integer", "minimum": 1, "default": 10, "description": "How many words to list"}
            },
            "required": ["text"]
        }"#
        .to_owned()
    }
}

fn count(text: &str, top: usize) -> Words<'_> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let words = text.split(|character: char| !character.is_alphanumeric() && character != '\'').filter(|word| !word.is_empty());
    for word in words {
        *counts.entry(word).or_default() += 1;
    }
    let (total, distinct) = (counts.values().sum(), counts.len());
    let mut top_words: Vec<_> = counts.into_iter().collect();
    top_words.sort_by(|(word, count), (other, others)| others.cmp(count).then(word.cmp(other)));
    top_words.truncate(top);
    Words { total, distinct, top: top_words }
}

fn error(error: serde_json::Error) -> Error {
    Error { name: "TypeError".to_owned(), message: error.to_string(), stack: None, details: None }
}

export!(Component);
