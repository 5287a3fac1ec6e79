//! `application/x-www-form-urlencoded`.

use sandmill_model::{Code, code::Refusal};

use super::{fields::Fields, query::decode};

/// Fields of one form, of either form of it.
pub(crate) const FIELDS_MAX: usize = 1_000;

pub(crate) fn too_many() -> Refusal {
    Refusal::new(Code::BadRequest, format!("the form has more than {FIELDS_MAX} fields"))
}

/// A JSON object of strings; a name that comes several times gets an array.
///
/// # Errors
/// `bad_request` if it is not UTF-8, or has too many fields.
pub(crate) fn read(body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let wrong = || Refusal::new(Code::BadRequest, "the form is not UTF-8 once its percent-encoding is undone");
    let text = std::str::from_utf8(body).map_err(|_| wrong())?;
    let mut fields = Fields::default();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        if fields.len() == FIELDS_MAX {
            return Err(too_many());
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name).ok_or_else(wrong)?, decode(value).ok_or_else(wrong)?);
        fields.push_text(name.into_owned(), &value);
    }
    Ok(fields.into_json())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_become_objects() {
        for (form, expected) in [
            ("", "{}"),
            ("a=1", r#"{"a":"1"}"#),
            ("token=t&text=hi+%22you%22&b=1&b=2&c", r#"{"token":"t","text":"hi \"you\"","b":["1","2"],"c":""}"#),
            ("%C3%BC=%0A&=x", r#"{"ü":"\n","":"x"}"#),
        ] {
            assert_eq!(read(form.as_bytes()).map(|json| String::from_utf8(json).unwrap()).as_deref(), Ok(expected), "{form}");
        }
        assert_eq!(read(b"a=%FF").unwrap_err().code, Code::BadRequest);
        assert_eq!(read(b"a=\xff").unwrap_err().code, Code::BadRequest);
        assert!(read("a=1&".repeat(FIELDS_MAX).as_bytes()).is_ok());
        assert_eq!(read("a=1&".repeat(FIELDS_MAX + 1).as_bytes()).unwrap_err().code, Code::BadRequest);
    }
}
