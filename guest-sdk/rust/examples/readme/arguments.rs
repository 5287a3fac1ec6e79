//! README, A script: arguments of a type of its own.

use schemars::JsonSchema;
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
struct Args {
    /// Whose picture it is
    user: String,
    /// Pixels
    #[serde(default)]
    #[schemars(range(max = 512))]
    width: u32,
}

#[sandmill::main]
fn main(args: Args) -> sandmill::Bytes {
    let pixels = vec![0; args.width as usize];
    sandmill::Bytes { content_type: "image/x-portable-graymap".to_owned(), data: [args.user.as_bytes(), &pixels].concat() }
}

#[cfg(test)]
mod tests {
    use super::main;

    #[test]
    fn returns_bytes() {
        let output = main::call(r#"{"user": "ann", "width": 2}"#).unwrap();
        let bytes = sandmill::Bytes { content_type: "image/x-portable-graymap".to_owned(), data: b"ann\0\0".to_vec() };
        assert_eq!(output, sandmill::Output::Bytes(bytes));
        assert!(main::schema().contains(r#""maximum":512"#), "{}", main::schema());
    }
}
