//! README, A script.

use sandmill::{Result, fields, log, state};

#[sandmill::main]
fn main(name: String, #[serde(default = "three")] count: usize) -> Result<Vec<String>> {
    let visits = state::get::<u32>("visits")?.unwrap_or(0) + 1;
    state::set("visits", &visits)?;
    log::info("greeting", &fields! { name, visits });
    Ok(vec![format!("Hello, {name}!"); count])
}

fn three() -> usize {
    3
}

#[cfg(test)]
mod tests {
    use sandmill::testing::Fakes;

    use super::main;

    #[test]
    fn counts_visits() {
        let world = Fakes::new().state("visits", &41).install();
        assert_eq!(main("bob".to_owned(), 2).unwrap(), ["Hello, bob!", "Hello, bob!"]);
        assert_eq!(world.state::<u32>("visits"), Some(42));
        assert_eq!(world.log()[0].fields["name"], "bob");
    }

    #[test]
    fn has_a_default() {
        let _world = Fakes::new().install();
        let output = main::call(r#"{"name": "bob"}"#).unwrap();
        assert_eq!(output, sandmill::Output::Json(r#"["Hello, bob!","Hello, bob!","Hello, bob!"]"#.to_owned()));
        assert!(main::schema().contains(r#""required":["name"]"#), "{}", main::schema());
    }
}
