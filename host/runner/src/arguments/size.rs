//! How much memory arguments take once they are read: an object of nine bytes takes hundreds.

use sandmill_model::json::structure;

/// Objects in one run's arguments.
const OBJECTS_MAX: usize = 200_000;
/// Values in one run's arguments: members, elements and what holds them.
const VALUES_MAX: usize = 1_000_000;
/// Shorter texts cannot hold too many.
const SMALL_BYTES_MAX: usize = 256 * 1024;

/// # Errors
/// What there is too much of.
pub(super) fn check(json: &str) -> Result<(), String> {
    if json.len() <= SMALL_BYTES_MAX {
        return Ok(());
    }
    let (mut objects, mut values) = (0, 0);
    for byte in structure(json) {
        match byte {
            b'{' => (objects, values) = (objects + 1, values + 1),
            b'[' | b',' => values += 1,
            _ => {}
        }
    }
    if objects > OBJECTS_MAX {
        return Err(format!("the arguments hold more than {OBJECTS_MAX} objects: send them in several runs, or as text"));
    }
    if values > VALUES_MAX {
        return Err(format!("the arguments hold more than {VALUES_MAX} values: send them in several runs, or as text"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_not_text() {
        let many = |part: &str, times: usize| format!("[{}0]", part.repeat(times));
        assert!(check(&many("{},", OBJECTS_MAX)).is_ok());
        assert!(check(&many("{},", OBJECTS_MAX + 1)).unwrap_err().contains("objects"));
        assert!(check(&many("0,", VALUES_MAX - 1)).is_ok());
        assert!(check(&many("0,", VALUES_MAX)).unwrap_err().contains("values"));
        assert!(check(&format!("\"{}\"", "{,\\\"".repeat(VALUES_MAX))).is_ok());
    }
}
