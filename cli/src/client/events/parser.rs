//! Server-sent events out of bytes, however they are cut.

/// Bytes of one event: a result of the greatest length in base64 fits.
const EVENT_BYTES_MAX: usize = 128 * 1024 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) id: Option<String>,
    pub(super) data: String,
}

#[derive(Default)]
pub(super) struct Parser {
    /// Of a line that has not ended.
    line: Vec<u8>,
    name: String,
    id: Option<String>,
    data: String,
}

impl Parser {
    /// The events that these bytes complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Event>, &'static str> {
        let mut events = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.len() + self.data.len() > EVENT_BYTES_MAX {
                return Err("one of them has no end");
            }
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                let line = std::str::from_utf8(&line).map_err(|_| "not UTF-8")?;
                events.extend(self.end_line(line.trim_end_matches(['\r', '\n'])));
            }
        }
        Ok(events)
    }

    fn end_line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = Event { name: std::mem::take(&mut self.name), id: self.id.take(), data: std::mem::take(&mut self.data) };
            return (!event.data.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "id" => self.id = Some(value.to_owned()),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // Comments have no name, and `retry` is for browsers.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_however_they_are_cut() {
        let text =
            "retry: 1000\n\n: \n\nid: 7\nevent: log\ndata: {\"a\": \"ü\"}\n\nevent: end\r\ndata:1\r\ndata: 2\r\n\r\nid: 9\n\ndata: rest";
        let event = |name: &str, id: Option<&str>, data: &str| Event { name: name.into(), id: id.map(Into::into), data: data.into() };
        let expected = [event("log", Some("7"), "{\"a\": \"ü\"}"), event("end", None, "1\n2")];
        for size in [1, 2, 3, 7, text.len()] {
            let mut parser = Parser::default();
            let read: Vec<Event> = text.as_bytes().chunks(size).flat_map(|bytes| parser.feed(bytes).unwrap()).collect();
            assert_eq!(read, expected, "{size} at a time");
        }
        assert!(Parser::default().feed(b"data: \xff\n").is_err());
    }
}
