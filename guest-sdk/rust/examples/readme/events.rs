//! README, Events.

use sandmill::{Event, HttpAnswer, Result};
use serde_json::{Value, json};

#[sandmill::preprocessor]
fn preprocessor(event: Event) -> Result<Option<Value>> {
    if event.headers.get("x-github-event").map(String::as_str) != Some("push") {
        return Ok(None);
    }
    Ok(Some(json!({ "branch": event.body["ref"], "signed": event.headers.contains_key("x-hub-signature-256") })))
}

#[sandmill::main]
fn main(branch: String, signed: bool) -> HttpAnswer {
    if !signed {
        return HttpAnswer::new(401).header("www-authenticate", "signature").body("who are you?");
    }
    HttpAnswer::new(202).body(branch)
}

#[cfg(test)]
mod tests {
    use sandmill::Output;

    use super::{main, preprocessor};

    #[test]
    fn pushes_are_arguments() {
        let event = r#"{"kind": "webhook", "body": {"ref": "main"}, "headers": {"x-github-event": "push"}}"#;
        let arguments = preprocessor::call(event).unwrap().unwrap();
        assert_eq!(arguments, r#"{"branch":"main","signed":false}"#);
        let Output::Json(answer) = main::call(&arguments).unwrap() else { panic!("no JSON") };
        assert_eq!(answer, r#"{"$http":{"status":401,"headers":{"www-authenticate":["signature"]},"body":"who are you?"}}"#);
    }

    #[test]
    fn others_are_skipped() {
        assert_eq!(preprocessor::call(r#"{"kind": "webhook", "body": null, "headers": {}}"#).unwrap(), None);
        assert_eq!(preprocessor(sandmill::Event::default()).unwrap(), None);
        assert_eq!(main("main".to_owned(), true).status, 202);
    }
}
