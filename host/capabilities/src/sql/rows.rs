//! Rows as the text of a JSON array, written as they come and counted.

use super::{Answered, Error};

/// Rows of one answer.
pub(super) const ROWS_MAX: usize = 100_000;
/// Bytes of the text of one answer's rows.
pub(super) const ROWS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Integers beyond it are strings: not every language's numbers hold them.
const SAFE_INTEGER_MAX: i64 = (1 << 53) - 1;

pub(super) struct Rows {
    columns: Vec<(String, String)>,
    /// What comes before the value of each column.
    keys: Vec<Vec<u8>>,
    text: Vec<u8>,
    count: usize,
}

impl Rows {
    /// `columns` are names and types.
    pub(super) fn new(columns: Vec<(String, String)>) -> Result<Self, Error> {
        let mut keys = Vec::with_capacity(columns.len());
        let mut names = std::collections::HashSet::new();
        for (name, _) in &columns {
            if !names.insert(name.as_str()) {
                return Err(Error::Invalid(format!("two columns have the name `{name}`; give them others with AS")));
            }
            let mut key = vec![if keys.is_empty() { b'{' } else { b',' }];
            string(&mut key, name);
            key.push(b':');
            keys.push(key);
        }
        Ok(Self { columns, keys, text: vec![b'['], count: 0 })
    }

    /// Appends a row; `value` writes that of the column with the number.
    pub(super) fn push(&mut self, mut value: impl FnMut(usize, &mut Vec<u8>) -> Result<(), String>) -> Result<(), Error> {
        if self.count == ROWS_MAX {
            return Err(Error::TooLarge(format!("the answer has more than {ROWS_MAX} rows; ask for fewer with LIMIT")));
        }
        if self.count > 0 {
            self.text.push(b',');
        }
        self.count += 1;
        for (number, key) in self.keys.iter().enumerate() {
            self.text.extend_from_slice(key);
            value(number, &mut self.text).map_err(|fault| Error::Invalid(format!("the column `{}`: {fault}", self.columns[number].0)))?;
            if self.text.len() > ROWS_BYTES_MAX {
                return Err(too_large());
            }
        }
        self.text.extend_from_slice(if self.keys.is_empty() { b"{}" } else { b"}" });
        Ok(())
    }

    pub(super) fn finish(mut self, written: u64) -> Result<Answered, Error> {
        self.text.push(b']');
        let rows = String::from_utf8(self.text).map_err(|_| Error::Invalid("the answer has text that is not UTF-8".to_owned()))?;
        Ok(Answered { columns: self.columns, rows, written })
    }
}

pub(super) fn too_large() -> Error {
    Error::TooLarge(format!("the answer has more than {} MiB; ask for fewer rows or columns", ROWS_BYTES_MAX >> 20))
}

/// Appends a JSON string.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    // Writing text to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// Appends an integer: a number where every language holds it, else a string.
pub(super) fn integer(out: &mut Vec<u8>, value: i64) {
    let text = value.to_string();
    if (-SAFE_INTEGER_MAX..=SAFE_INTEGER_MAX).contains(&value) {
        out.extend_from_slice(text.as_bytes());
    } else {
        string(out, &text);
    }
}

/// Appends the shortest text that is read back as the same number; what JSON has no number for is a string.
pub(super) fn float(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        let _ = serde_json::to_writer(out, &value);
    } else {
        string(out, not_finite(value));
    }
}

pub(super) fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lose_nothing() {
        let text = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            String::from_utf8(out).unwrap()
        };
        let max = SAFE_INTEGER_MAX;
        for (value, expected) in [(max, "9007199254740991"), (max + 1, "\"9007199254740992\""), (-max - 1, "\"-9007199254740992\"")] {
            assert_eq!(text(&|out| integer(out, value)), expected);
        }
        for (value, expected) in
            [(0.1, "0.1"), (1e300, "1e+300"), (-0.0, "-0.0"), (f64::NAN, "\"NaN\""), (f64::NEG_INFINITY, "\"-Infinity\"")]
        {
            assert_eq!(text(&|out| float(out, value)), expected);
        }
    }

    #[test]
    fn an_answer_has_limits() {
        let columns = || vec![("a\"".to_owned(), "text".to_owned())];
        let mut rows = Rows::new(columns()).unwrap();
        let one = |_: usize, out: &mut Vec<u8>| {
            integer(out, 1);
            Ok(())
        };
        for _ in 0..ROWS_MAX {
            rows.push(one).unwrap();
        }
        assert!(matches!(rows.push(one), Err(Error::TooLarge(_))));
        let mut rows = Rows::new(columns()).unwrap();
        let mut text = |text: &str| {
            rows.push(|_, out| {
                string(out, text);
                Ok(())
            })
        };
        text(&"x".repeat(ROWS_BYTES_MAX - 20)).unwrap();
        assert!(matches!(text("0123456789"), Err(Error::TooLarge(_))));
        assert!(matches!(Rows::new([columns(), columns()].concat()), Err(Error::Invalid(_))));
        let answer = Rows::new(columns()).unwrap().finish(0).unwrap();
        assert_eq!(answer.rows, "[]");
    }
}
