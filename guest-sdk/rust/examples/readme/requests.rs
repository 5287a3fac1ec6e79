//! README, Requests.

use std::time::Duration;

use sandmill::{Result, http, variables};
use serde_json::Value;

#[sandmill::main]
fn main(ids: Vec<String>) -> Result<Vec<Value>> {
    let bearer = format!("Bearer {}", variables::secret("f/demo/token")?);
    let item = |id: &String| -> Result<Value> {
        let request = http::get(format!("https://api.example.com/items/{id}")).header("authorization", &bearer);
        request.timeout(Duration::from_secs(5)).send()?.json()
    };
    ids.iter().map(item).collect()
}

#[cfg(test)]
mod tests {
    use sandmill::{
        http::Response,
        testing::{Fakes, placeholder},
    };

    use super::main;

    #[test]
    fn asks_for_each() {
        let fakes = Fakes::new().secret("f/demo/token").http(|request| {
            assert_eq!(request.header_value("authorization"), Some(format!("Bearer {}", placeholder("f/demo/token")).as_str()));
            Ok(Response::new(200).with_body(r#"{"ok":true}"#))
        });
        let world = fakes.install();
        assert_eq!(main(vec!["1".to_owned(), "2".to_owned()]).unwrap().len(), 2);
        assert_eq!(world.requests()[1].url, "https://api.example.com/items/2");
    }
}
