//! Variables: text at paths, secret or not. Granted by path: `[grants] variables = ["f/demo/*"]`.
//!
//! Errors are named `denied`, `invalid`, `not-found` and `unavailable`.

use crate::{Result, host::variables as host};

/// The text of a variable. That of a secret one needs a grant of its own: `secrets = ["f/demo/token"]`.
///
/// # Errors
/// As the module says.
pub fn get(path: &str) -> Result<String> {
    host::get(path)
}

/// Text that stands for a secret variable's. The host puts the secret in its place in headers, query and body of requests that a grant
/// lets use it (`http = ["POST https://api.example.com/ with f/demo/token"]`), and nowhere else.
///
/// # Errors
/// As the module says.
pub fn secret(path: &str) -> Result<String> {
    host::placeholder(path)
}

#[cfg(test)]
mod tests {
    use crate::testing::{Fakes, placeholder};

    #[test]
    fn what_was_faked_is_there() {
        let _world = Fakes::new().variable("f/demo/region", "eu").secret("f/demo/token").install();
        assert_eq!(super::get("f/demo/region").unwrap(), "eu");
        assert_eq!(super::secret("f/demo/token").unwrap(), placeholder("f/demo/token"));
        let error = super::get("f/demo/other").unwrap_err();
        assert_eq!(error.name, "denied");
        assert!(error.message.contains(r#"Fakes::new().variable("f/demo/other", "#), "{error}");
        assert_eq!(super::secret("f/demo/region").unwrap_err().name, "invalid");
        assert_eq!(super::get("f/demo/token").unwrap_err().name, "denied");
    }

    #[test]
    fn without_fakes_all_is_denied() {
        let error = super::get("f/demo/region").unwrap_err();
        assert_eq!(error.name, "denied");
        assert!(error.message.contains("install"), "{error}");
    }
}
