//! Counts visits and tells a page of it: state, a line of the log, and a request that a unit test answers.

use sandmill::{Error, Result, fields, http, log, state};

const TRIES: usize = 100;

/// The page and how often it was visited; other runs may count at the same time.
fn count(page: &str) -> Result<u64> {
    for _ in 0..TRIES {
        let visits: Option<u64> = state::get(page)?;
        let next = visits.unwrap_or(0) + 1;
        if state::compare_and_swap(page, visits.as_ref(), Some(&next))? {
            return Ok(next);
        }
    }
    Err(Error::msg("others were first, a hundred times"))
}

#[sandmill::main]
fn main(
    /// Path of the page, e.g. `/docs`
    page: String,
    /// Where the number is sent to
    #[schemars(url)]
    tell: Option<String>,
) -> Result<u64> {
    let visits = count(&page)?;
    log::info("visited", &fields! { page, visits });
    if let Some(url) = tell {
        let answer = http::post(url).json(&visits)?.send()?;
        if !answer.is_ok() {
            return Err(Error::new("TellError", "the number was not taken").with_details(&answer.status));
        }
    }
    Ok(visits)
}

#[cfg(test)]
mod tests {
    use sandmill::{Output, http::Response, testing::Fakes};

    use super::main;

    #[test]
    fn counts_and_logs() {
        let world = Fakes::new().state("/docs", &41).install();
        assert_eq!(main("/docs".to_owned(), None).unwrap(), 42);
        assert_eq!(main::call(r#"{"page": "/docs"}"#).unwrap(), Output::Json("43".to_owned()));
        assert_eq!(world.state::<u64>("/docs"), Some(43));
        assert_eq!(world.log()[0].message, "visited");
        assert_eq!(world.log()[0].fields["visits"], 42);
    }

    #[test]
    fn tells() {
        let world = Fakes::new().http(|request| Ok(Response::new(if request.url.ends_with("/ok") { 204 } else { 500 }))).install();
        assert_eq!(main("/".to_owned(), Some("https://example.com/ok".to_owned())).unwrap(), 1);
        assert_eq!(world.requests()[0].body.as_deref(), Some(&b"1"[..]));
        let error = main("/".to_owned(), Some("https://example.com/not".to_owned())).unwrap_err();
        assert_eq!((error.name.as_str(), error.details.as_deref()), ("TellError", Some("500")));
    }

    #[test]
    fn what_was_not_faked_is_denied() {
        let _world = Fakes::new().install();
        assert_eq!(main("/".to_owned(), Some("https://example.com/".to_owned())).unwrap_err().name, "HTTP-request-denied");
    }

    #[test]
    fn describes_its_arguments() {
        assert!(
            main::schema().contains(r#""page":{"description":"Path of the page, e.g. `/docs`","type":"string"}"#),
            "{}",
            main::schema()
        );
        assert_eq!(main::call("{}").unwrap_err().name, "TypeError");
    }
}
