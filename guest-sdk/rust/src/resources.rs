//! Resources: typed objects at paths. Granted by path: `[grants] resources = ["f/demo/*"]`.
//!
//! Errors are named `denied`, `invalid`, `not-found` and `unavailable`.

use serde::de::DeserializeOwned;

use crate::{Result, host::resources as host, json};

/// A resource that is used without its secrets being seen. It ends with the run.
#[derive(Debug)]
pub struct Resource(pub(crate) host::Handle);

/// Opens the resource at a path.
///
/// # Errors
/// As the module says.
pub fn open(path: &str) -> Result<Resource> {
    host::open(path).map(Resource)
}

impl Resource {
    /// Where it is, e.g. `f/demo/database`.
    #[must_use]
    pub fn path(&self) -> String {
        self.0.path()
    }

    /// Name of its type, e.g. `postgresql`.
    #[must_use]
    pub fn kind(&self) -> String {
        self.0.kind()
    }

    /// The fields that are not secret.
    ///
    /// # Errors
    /// If they are no `T`.
    pub fn fields<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(json::from_str(&self.0.fields())?)
    }

    /// Text that stands for the secret field at a JSON pointer, e.g. `/token`. The host puts the secret in its place in headers, query and
    /// body of requests that a grant lets use the resource (`http = ["POST https://api.example.com/ with f/demo/account"]`), and nowhere else.
    ///
    /// # Errors
    /// `invalid` if there is no such secret.
    pub fn placeholder(&self, pointer: &str) -> Result<String> {
        self.0.placeholder(pointer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::testing::Fakes;

    #[test]
    fn fields_are_read_and_secrets_are_not() {
        let _world = Fakes::new().resource("f/demo/account", "account", json!({"user": "ann"}), &["/token"]).install();
        let account = super::open("f/demo/account").unwrap();
        assert_eq!((account.path().as_str(), account.kind().as_str()), ("f/demo/account", "account"));
        assert_eq!(account.fields::<Value>().unwrap(), json!({"user": "ann"}));
        assert!(account.placeholder("/token").unwrap().contains("f/demo/account"));
        assert_eq!(account.placeholder("/user").unwrap_err().name, "invalid");
        assert_eq!(super::open("f/demo/x").unwrap_err().name, "denied");
    }
}
