//! `multipart/form-data` (RFC 7578), all of which is there. Files are parts of the body itself: nothing is copied.

use bytes::Bytes;
use memchr::memmem;
use percent_encoding::percent_decode_str;
use sandmill_model::{Code, RequestId, code::Refusal, json, trigger::File};

use super::{body, fields::Fields, form, parameters, push_json_string};

/// Bytes of the header of one part.
const HEADER_BYTES_MAX: usize = 8 * 1024;
/// Characters of a boundary (RFC 2046).
const BOUNDARY_MAX: usize = 70;
/// Files of one form.
const FILES_MAX: usize = 64;
/// Bytes of a file's name as it was sent, and as it is in a key.
const NAME_BYTES_MAX: usize = 1_024;
const KEY_NAME_BYTES_MAX: usize = 100;
/// Bytes of a file's media type.
const MEDIA_TYPE_BYTES_MAX: usize = 255;

const LINE_END: &[u8] = b"\r\n";
const HEADER_END: &[u8] = b"\r\n\r\n";

/// Below which key files are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) kind: &'static str,
    pub(crate) id: RequestId,
}

/// What a form has.
pub(crate) struct Form {
    /// A JSON object.
    pub(crate) fields: Vec<u8>,
    pub(crate) files: Vec<File>,
}

fn wrong(why: &str) -> Refusal {
    Refusal::new(Code::BadRequest, format!("the body is not `multipart/form-data`: {why}"))
}

/// Reads a form. A field is a string, or what it says if it is announced as JSON; a file `{"key", "name", "content_type", "bytes"}`.
///
/// # Errors
/// `bad_request`, `invalid_json`.
pub(crate) fn read(content_type: &str, body: &Bytes, place: Place) -> Result<Form, Refusal> {
    let boundary = boundary(content_type).ok_or_else(|| wrong("`Content-Type` names no boundary"))?;
    let delimiter = format!("\r\n--{boundary}");
    let finder = memmem::Finder::new(delimiter.as_bytes());
    // Nothing needs to be before the first.
    let mut at = match body.strip_prefix(&delimiter.as_bytes()[LINE_END.len()..]) {
        Some(rest) => body.len() - rest.len(),
        None => finder.find(body).ok_or_else(|| wrong("its boundary is not there"))? + delimiter.len(),
    };
    let (mut fields, mut files) = (Fields::default(), Vec::new());
    loop {
        let rest = &body[at..];
        if rest.starts_with(b"--") {
            return Ok(Form { fields: fields.into_json(), files });
        }
        if fields.len() == form::FIELDS_MAX {
            return Err(form::too_many());
        }
        let padding = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if !rest[padding..].starts_with(LINE_END) {
            return Err(wrong("something follows a boundary in its line"));
        }
        // Where a part has no header, its line end is that of the boundary.
        let header_at = at + padding;
        let searched = &body[header_at..body.len().min(header_at + HEADER_BYTES_MAX)];
        let header_bytes = memmem::find(searched, HEADER_END).ok_or_else(|| wrong("the header of a part does not end, or is too long"))?;
        let data_at = header_at + header_bytes + HEADER_END.len();
        let data_bytes = finder.find(&body[data_at..]).ok_or_else(|| wrong("it breaks off"))?;
        let data = body.slice(data_at..data_at + data_bytes);
        Part::of(&searched[..header_bytes])?.put(data, place, &mut fields, &mut files)?;
        at = data_at + data_bytes + delimiter.len();
    }
}

fn boundary(content_type: &str) -> Option<String> {
    let (_, parameters) = parameters::split(content_type)?;
    let (_, boundary) = parameters.into_iter().find(|(name, _)| name == "boundary")?;
    let fits = (1..=BOUNDARY_MAX).contains(&boundary.len()) && boundary.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    fits.then_some(boundary)
}

/// What the header of a part says.
#[derive(Default)]
struct Part {
    name: String,
    /// None: it is no file.
    file_name: Option<String>,
    content_type: String,
}

impl Part {
    fn of(header: &[u8]) -> Result<Self, Refusal> {
        let header = std::str::from_utf8(header).map_err(|_| wrong("the header of a part is not UTF-8"))?;
        let mut part = Self::default();
        let mut is_named = false;
        for line in header.split("\r\n").filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or_else(|| wrong("a line in the header of a part has no name"))?;
            match name.trim().to_ascii_lowercase().as_str() {
                "content-disposition" => {
                    let (kind, parameters) = parameters::split(value).ok_or_else(|| wrong("a `Content-Disposition` cannot be read"))?;
                    if !kind.eq_ignore_ascii_case("form-data") {
                        return Err(wrong("a part is no field of a form"));
                    }
                    for (parameter, text) in parameters {
                        match parameter.as_str() {
                            "name" => (part.name, is_named) = (text, true),
                            // The extended form says more, wherever it stands.
                            "filename" => part.file_name = part.file_name.or(Some(text)),
                            "filename*" => part.file_name = extended(&text).or(part.file_name),
                            _ => {}
                        }
                    }
                }
                "content-type" => value.trim().clone_into(&mut part.content_type),
                "content-transfer-encoding" if !["binary", "8bit", "7bit"].contains(&value.trim().to_ascii_lowercase().as_str()) => {
                    return Err(wrong("a part is encoded: send its bytes as they are"));
                }
                _ => {}
            }
        }
        let too_long = part.name.len() > NAME_BYTES_MAX || part.file_name.as_ref().is_some_and(|name| name.len() > NAME_BYTES_MAX);
        if !is_named || too_long || part.content_type.len() > MEDIA_TYPE_BYTES_MAX {
            return Err(wrong("a part has no name, or one that is too long"));
        }
        Ok(part)
    }

    fn put(self, data: Bytes, place: Place, fields: &mut Fields, files: &mut Vec<File>) -> Result<(), Refusal> {
        let Self { name, file_name, content_type } = self;
        let Some(file_name) = file_name else {
            let text = std::str::from_utf8(&data).map_err(|_| wrong("a field that is no file is not UTF-8"))?;
            if body::is_json(body::media_type(&content_type)) {
                let invalid = |error| Refusal::new(Code::InvalidJson, format!("a field that is announced as JSON is not: {error}"));
                json::check(text).map_err(invalid)?;
                fields.push(name, data.to_vec());
            } else {
                fields.push_text(name, text);
            }
            return Ok(());
        };
        if files.len() == FILES_MAX {
            return Err(Refusal::new(Code::BadRequest, format!("the form has more than {FILES_MAX} files")));
        }
        let key = format!("triggers/{}/{}/{}-{}", place.kind, place.id, files.len() + 1, cleaned(&file_name));
        let mut told = Vec::new();
        for (start, text) in [("{\"key\":", &key), (",\"name\":", &file_name), (",\"content_type\":", &content_type)] {
            told.extend_from_slice(start.as_bytes());
            push_json_string(&mut told, text);
        }
        told.extend_from_slice(format!(",\"bytes\":{}}}", data.len()).as_bytes());
        fields.push(name, told);
        files.push(File { key, content_type, data });
        Ok(())
    }
}

/// `UTF-8''percent-encoded` (RFC 8187).
fn extended(text: &str) -> Option<String> {
    let (charset, rest) = text.split_once('\'')?;
    let (_, encoded) = rest.split_once('\'')?;
    let decoded = percent_decode_str(encoded).decode_utf8().ok()?;
    charset.eq_ignore_ascii_case("utf-8").then(|| decoded.into_owned())
}

/// As a part of a key: whatever a stranger calls a file, it is one segment and shows nothing odd.
fn cleaned(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default().trim_start_matches('.');
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_') { character } else { '_' }
    };
    let cleaned: String = name.chars().map(plain).take(KEY_NAME_BYTES_MAX).collect();
    if cleaned.is_empty() { "file".to_owned() } else { cleaned }
}

#[cfg(test)]
mod tests {
    use sandmill_model::Timestamp;

    use super::*;

    fn place() -> Place {
        Place { kind: "test", id: RequestId::new(Timestamp::from_micros(0)) }
    }

    fn form(body: &'static [u8]) -> Result<(String, Vec<File>, Place), Refusal> {
        let place = place();
        let form = read("multipart/form-data; boundary=\"x y\"", &Bytes::from_static(body), place)?;
        Ok((String::from_utf8(form.fields).unwrap(), form.files, place))
    }

    #[test]
    fn fields_and_files() {
        let body = b"before\r\n--x y \t\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x\r\n--x y\r\nContent-Disposition: form-data; name=a\r\n\
            content-type: application/json; charset=utf-8\r\n\r\n{\"b\": 1e400}\r\n--x y\r\nContent-Type: image/png\r\n\
            Content-Disposition: form-data; name=\"f\"; filename=\"C:\\..\\\xc3\xbc x.png\"\r\n\r\n\x89PNG\r\n\x00\r\n--x y\r\n\
            Content-Disposition: form-data; name=\"g\"; filename*=UTF-8''%2e%2e; filename=\"no\"\r\n\r\n\r\n--x y--\r\nbehind";
        let (fields, files, Place { kind, id }) = form(body).unwrap();
        let (first, second) = (format!("triggers/{kind}/{id}/1-__x.png"), format!("triggers/{kind}/{id}/2-file"));
        assert_eq!(
            fields,
            format!(
                "{{\"a\":[\"1\\r\\n--x\",{{\"b\": 1e400}}],\"f\":{{\"key\":\"{first}\",\"name\":\"C:\\\\..\\\\ü x.png\",\"content_type\":\"image/png\",\"bytes\":7}},\
                 \"g\":{{\"key\":\"{second}\",\"name\":\"..\",\"content_type\":\"\",\"bytes\":0}}}}"
            )
        );
        let files: Vec<(&str, &str, &[u8])> = files.iter().map(|file| (&*file.key, &*file.content_type, &*file.data)).collect();
        assert_eq!(files, [(&*first, "image/png", &b"\x89PNG\r\n\0"[..]), (&*second, "", b"")]);
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for body in [
            &b""[..],
            b"--x y",
            b"--x z--",
            b"--x yz\r\n\r\n\r\n--x y--",
            b"--x y\r\nContent-Disposition: form-data; name=a\r\n\r\n1",
            b"--x y\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x z--",
            b"--x y\r\n\r\n1\r\n--x y--",
            b"--x y\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--x y--",
            b"--x y\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x y--",
            b"--x y\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\nMQ==\r\n--x y--",
            b"--x y\r\nContent-Disposition: form-data; name=a\r\n\r\n\xff\r\n--x y--",
            b"--x y\r\nContent-Disposition: form-data; name=\xff\r\n\r\n1\r\n--x y--",
        ] {
            assert_eq!(form(body).map(|(fields, ..)| fields).map_err(|refusal| refusal.code), Err(Code::BadRequest), "{body:?}");
        }
        let json = b"--x y\r\nContent-Disposition: form-data; name=a\r\nContent-Type: application/json\r\n\r\n{\r\n--x y--";
        assert_eq!(form(json).unwrap_err().code, Code::InvalidJson);
        for content_type in ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"\u{fc}\""] {
            assert!(read(content_type, &Bytes::from_static(b"--x--"), place()).is_err(), "{content_type}");
        }
    }

    #[test]
    fn nothing_grows_without_bounds() {
        let part = |disposition: &str| format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n\r\n");
        let body = |disposition: &str, count: usize| Bytes::from(part(disposition).repeat(count) + "--b--");
        let parts =
            |disposition: &str, count: usize| read("multipart/form-data; boundary=b", &body(disposition, count), place()).map(|_| ());
        assert_eq!((parts("name=a", form::FIELDS_MAX), parts("name=a; filename=b", FILES_MAX)), (Ok(()), Ok(())));
        for (disposition, count) in [
            ("name=a".to_owned(), form::FIELDS_MAX + 1),
            ("name=a; filename=b".to_owned(), FILES_MAX + 1),
            (format!("name={}", "a".repeat(NAME_BYTES_MAX + 1)), 1),
            (format!("name=a; x={}", "a".repeat(HEADER_BYTES_MAX)), 1),
        ] {
            assert_eq!(parts(&disposition, count).unwrap_err().code, Code::BadRequest);
        }
    }
}
