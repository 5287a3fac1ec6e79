//! README, Runs.

use sandmill::{Result, runs};
use serde_json::json;

#[sandmill::main]
fn main(texts: Vec<String>) -> Result<Vec<u32>> {
    let start = |(n, text)| {
        let options = runs::Options { key: Some(format!("text {n}")), ..Default::default() };
        runs::start_with("f/demo/count", &json!({ "text": text }), &options)
    };
    let ids = texts.iter().enumerate().map(start).collect::<Result<Vec<_>>>()?;
    runs::wait_all(&ids) // in their order; the error of the first that failed
}

#[cfg(test)]
mod tests {
    use sandmill::testing::Fakes;
    use serde_json::json;

    use super::main;

    #[test]
    fn starts_one_for_each_text() {
        let world = Fakes::new().run("f/demo/count", |args| Ok(json!(args["text"].as_str().map(str::len)))).install();
        assert_eq!(main(vec!["a".to_owned(), "bc".to_owned()]).unwrap(), [1, 2]);
        assert_eq!(world.started().len(), 2);
    }
}
