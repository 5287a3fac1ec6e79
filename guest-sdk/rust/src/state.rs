//! JSON that a script keeps from one run to the next, per script and trigger: at most 10,000 keys. A write is durable when the call returns.
//!
//! Errors are named `invalid-key`, `invalid-json`, `too-large` and `unavailable`.

use serde::{Serialize, de::DeserializeOwned};

use crate::{Result, host::state as host, json};

/// `None` if there is no such key. A key has 1 to 512 bytes and no control characters, a value at most 1 MiB of JSON.
///
/// # Errors
/// Also if what is there is no `T`.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>> {
    let Some(text) = host::get(key)? else { return Ok(None) };
    Ok(Some(json::from_str(&text)?))
}

/// Replaces what is there.
///
/// # Errors
/// As the module says.
pub fn set<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<()> {
    host::set(key, &json::to_string(value)?)
}

/// It is no error if there is no such key.
///
/// # Errors
/// As the module says.
pub fn delete(key: &str) -> Result<()> {
    host::delete(key)
}

/// Writes `replacement` (`None` deletes) if the value is `expected` (`None`: absent), compared as JSON. Returns whether it wrote.
///
/// # Errors
/// As the module says.
pub fn compare_and_swap<T: Serialize + ?Sized>(key: &str, expected: Option<&T>, replacement: Option<&T>) -> Result<bool> {
    let expected = expected.map(json::to_string).transpose()?;
    let replacement = replacement.map(json::to_string).transpose()?;
    host::compare_and_swap(key, expected.as_deref(), replacement.as_deref())
}

/// Keys that begin with `prefix`, in the order of their bytes, after the key `after`; at most `limit` and at most 1,000.
///
/// # Errors
/// As the module says.
pub fn list(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>> {
    host::list(prefix, after, limit)
}

#[cfg(test)]
mod tests {
    use crate::testing::Fakes;

    #[test]
    fn values_are_kept_and_swapped() {
        let world = Fakes::new().state("seen", &[1, 2]).install();
        assert_eq!(super::get::<Vec<u8>>("seen").unwrap(), Some(vec![1, 2]));
        assert_eq!(super::get::<u8>("count").unwrap(), None);
        assert!(super::compare_and_swap("count", None, Some(&1.0)).unwrap());
        assert!(!super::compare_and_swap("count", None, Some(&2.0)).unwrap());
        assert!(super::compare_and_swap("count", Some(&1), Some(&2)).unwrap(), "1 and 1.0 are one number");
        assert!(super::compare_and_swap("count", Some(&2), None).unwrap());
        super::set("b", "x").unwrap();
        super::set("a", &()).unwrap();
        assert_eq!(super::get::<Option<u8>>("a").unwrap(), Some(None));
        assert_eq!(super::list("", None, 2).unwrap(), ["a", "b"]);
        assert_eq!(super::list("", Some("b"), 2000).unwrap(), ["seen"]);
        assert_eq!(super::list("se", None, 10).unwrap(), ["seen"]);
        super::delete("seen").unwrap();
        super::delete("seen").unwrap();
        assert_eq!(world.state::<u8>("seen"), None);
        assert_eq!(super::get::<u8>("b").unwrap_err().name, "Fault");
    }

    #[test]
    fn limits_are_kept() {
        let _world = Fakes::new().install();
        for key in ["", "a\n", &"x".repeat(513)] {
            assert_eq!(super::set(key, &1).unwrap_err().name, "invalid-key");
        }
        assert_eq!(super::set("a", &"x".repeat(1 << 20)).unwrap_err().name, "too-large");
    }
}
