//! README, Errors.

use sandmill::{Error, Result, variables};

#[sandmill::main]
fn main() -> Result<u16> {
    let text = match variables::get("f/demo/limit") {
        Err(error) if error.name == "not-found" => "100".to_owned(),
        found => found?,
    };
    let limit: u16 = text.parse()?; // `ParseIntError`, if it is no number
    if limit > 1000 {
        return Err(Error::new("LimitError", "too much").with_details(&limit));
    }
    Ok(limit)
}

#[cfg(test)]
mod tests {
    use sandmill::testing::Fakes;

    use super::main;

    #[test]
    fn errors_have_names() {
        for (text, expected) in [("7", Ok(7)), ("x", Err("ParseIntError")), ("2000", Err("LimitError"))] {
            let _world = Fakes::new().variable("f/demo/limit", text).install();
            assert_eq!(main().map_err(|error| error.name), expected.map_err(str::to_owned));
        }
        assert_eq!(main::schema(), r#"{"type":"object"}"#);
    }
}
