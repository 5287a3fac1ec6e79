//! Frames of the protocol, from bytes and to bytes. Whoever sends them may be anybody: lines, headers and payloads are bounded, and of a payload that is
//! longer than anybody wants the rest is thrown away as it comes.

use std::{borrow::Cow, fmt::Write as _};

use bytes::{Buf as _, Bytes, BytesMut};

use super::Fault;

/// Bytes of a line; a server says who it is in one.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a message's headers.
const HEADERS_BYTES_MAX: usize = 64 * 1024;
/// Bytes that a server may say that a message has: no server takes more.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Characters of a server's complaint that are shown.
const COMPLAINT_CHARS_MAX: usize = 200;

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Who it is, as JSON.
    Info(Bytes),
    Ping,
    Pong,
    Ok,
    Complaint(String),
    Message(Message),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) sid: u64,
    pub(crate) subject: String,
    pub(crate) reply: Option<String>,
    pub(crate) headers: Headers,
    /// No more than the reader keeps of one.
    pub(crate) payload: Bytes,
    /// Of the payload as it was sent.
    pub(crate) payload_bytes: usize,
}

/// Headers of a message, in their order, and the status that the server puts before them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Headers {
    pub(crate) status: Option<u16>,
    pub(crate) description: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Headers {
    #[cfg(test)]
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn parse(block: &[u8]) -> Result<Self, Fault> {
        let text = String::from_utf8_lossy(block);
        let mut lines = text.split("\r\n");
        let version = lines.next().and_then(|line| line.strip_prefix("NATS/1.0")).ok_or(Fault::protocol("headers without a version"))?;
        let (status, description) = version.trim().split_once(' ').unwrap_or((version.trim(), ""));
        let status = if status.is_empty() { None } else { Some(status.parse().map_err(|_| Fault::protocol("a status that is none"))?) };
        let fields = lines.filter(|line| !line.is_empty()).map(|line| {
            let (name, value) = line.split_once(':').ok_or(Fault::protocol("a header without a colon"))?;
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        });
        Ok(Self { status, description: description.trim().to_owned(), fields: fields.collect::<Result<_, Fault>>()? })
    }
}

/// The line of a message whose bytes follow.
#[derive(Debug)]
struct Announced {
    sid: u64,
    subject: String,
    reply: Option<String>,
    headers_bytes: usize,
    payload_bytes: usize,
}

/// Takes bytes in and gives frames out.
pub(crate) struct Reader {
    buffer: BytesMut,
    announced: Option<Announced>,
    /// Bytes of the payload that was given out last, and is thrown away.
    discard: usize,
    /// Bytes of a payload that are kept.
    payload_bytes_kept: usize,
}

impl Reader {
    pub(crate) fn new(payload_bytes_kept: usize) -> Self {
        Self { buffer: BytesMut::new(), announced: None, discard: 0, payload_bytes_kept }
    }

    /// Where bytes are appended.
    pub(crate) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether bytes have come that belong to no frame yet: TLS begins after a whole one.
    pub(crate) fn has_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next frame, if all of it has come.
    ///
    /// # Errors
    /// If it is none: nothing can be read after it.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, Fault> {
        loop {
            if self.discard > 0 {
                let now = self.discard.min(self.buffer.len());
                self.buffer.advance(now);
                self.discard -= now;
                if self.discard > 0 {
                    return Ok(None);
                }
            }
            if let Some(announced) = self.announced.take() {
                let kept = announced.payload_bytes.min(self.payload_bytes_kept);
                let rest = announced.payload_bytes - kept;
                // With the end of the line, where all of the payload is kept.
                let whole = announced.headers_bytes + kept + if rest == 0 { 2 } else { 0 };
                if self.buffer.len() < whole {
                    self.announced = Some(announced);
                    return Ok(None);
                }
                return self.message(announced, (kept, rest)).map(Some);
            }
            let Some(line) = self.line()? else { return Ok(None) };
            if let Some(frame) = self.frame(&line)? {
                return Ok(Some(frame));
            }
        }
    }

    fn line(&mut self) -> Result<Option<Bytes>, Fault> {
        let Some(end) = self.buffer.iter().take(LINE_BYTES_MAX).position(|byte| *byte == b'\n') else {
            return if self.buffer.len() >= LINE_BYTES_MAX { Err(Fault::protocol("a line without an end")) } else { Ok(None) };
        };
        let mut line = self.buffer.split_to(end + 1).freeze();
        line.truncate(end);
        if line.last() == Some(&b'\r') {
            line.truncate(end - 1);
        }
        Ok(Some(line))
    }

    /// None: a message follows.
    fn frame(&mut self, line: &Bytes) -> Result<Option<Frame>, Fault> {
        let word = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
        let rest = line.slice(word..);
        let arguments = || std::str::from_utf8(&rest).map(str::trim).map_err(|_| Fault::protocol("a line that is no text"));
        Ok(match line[..word].to_ascii_uppercase().as_slice() {
            b"MSG" => {
                self.announced = Some(announced(arguments()?, false)?);
                None
            }
            b"HMSG" => {
                self.announced = Some(announced(arguments()?, true)?);
                None
            }
            b"PING" => Some(Frame::Ping),
            b"PONG" => Some(Frame::Pong),
            b"+OK" => Some(Frame::Ok),
            b"INFO" => Some(Frame::Info(rest.clone())),
            b"-ERR" => Some(Frame::Complaint(shown(&String::from_utf8_lossy(&rest)))),
            _ => return Err(Fault::protocol("a line that is none of its lines")),
        })
    }

    fn message(&mut self, announced: Announced, (kept, rest): (usize, usize)) -> Result<Frame, Fault> {
        let Announced { sid, subject, reply, headers_bytes, payload_bytes } = announced;
        let block = self.buffer.split_to(headers_bytes);
        let headers = if block.is_empty() { Headers::default() } else { Headers::parse(&block)? };
        let payload = self.buffer.split_to(kept);
        if rest == 0 {
            if !self.buffer.starts_with(b"\r\n") {
                return Err(Fault::protocol("a message that does not end where it should"));
            }
            self.buffer.advance(2);
        } else {
            self.discard = rest + 2;
        }
        // A small one would hold the whole buffer that it came in.
        let payload = if payload.len() * 2 < self.buffer.capacity() { Bytes::copy_from_slice(&payload) } else { payload.freeze() };
        Ok(Frame::Message(Message { sid, subject, reply, headers, payload, payload_bytes }))
    }
}

/// `<subject> <sid> [reply] [bytes of headers] <bytes of all>`
fn announced(line: &str, has_headers: bool) -> Result<Announced, Fault> {
    let fault = || Fault::protocol("a message that is not announced as it should");
    let number = |text: &str| text.parse::<usize>().ok().filter(|bytes| *bytes <= MESSAGE_BYTES_MAX).ok_or_else(fault);
    let words: Vec<&str> = line.split_ascii_whitespace().take(6).collect();
    let (subject, sid, reply, sizes) = match (words.as_slice(), has_headers) {
        ([subject, sid, sizes @ ..], false) if sizes.len() == 1 => (subject, sid, None, sizes),
        ([subject, sid, reply, sizes @ ..], false) if sizes.len() == 1 => (subject, sid, Some(reply), sizes),
        ([subject, sid, sizes @ ..], true) if sizes.len() == 2 => (subject, sid, None, sizes),
        ([subject, sid, reply, sizes @ ..], true) if sizes.len() == 2 => (subject, sid, Some(reply), sizes),
        _ => return Err(fault()),
    };
    let (headers_bytes, all) = match sizes {
        [headers, all] => (number(headers)?, number(all)?),
        [all] => (0, number(all)?),
        _ => return Err(fault()),
    };
    if headers_bytes > HEADERS_BYTES_MAX {
        return Err(Fault::protocol("a message with too many headers"));
    }
    Ok(Announced {
        sid: sid.parse().map_err(|_| fault())?,
        subject: (*subject).to_owned(),
        reply: reply.map(|reply| (*reply).to_owned()),
        headers_bytes,
        payload_bytes: all.checked_sub(headers_bytes).ok_or_else(fault)?,
    })
}

/// A server's complaint without its quotes, and without what would spoil a log.
fn shown(complaint: &str) -> String {
    complaint.trim().trim_matches('\'').chars().filter(|c| !c.is_control()).take(COMPLAINT_CHARS_MAX).collect()
}

/// What is to be sent. Subjects and headers were checked by whoever writes them.
#[derive(Default)]
pub(crate) struct Writer {
    pub(crate) buffer: BytesMut,
}

impl Writer {
    pub(crate) fn line(&mut self, line: &str) {
        self.buffer.extend_from_slice(line.as_bytes());
        self.buffer.extend_from_slice(b"\r\n");
    }

    pub(crate) fn publish(&mut self, subject: &str, reply: Option<&str>, headers: &[(Cow<'_, str>, Cow<'_, str>)], payload: &[u8]) {
        let block = if headers.is_empty() { String::new() } else { block(headers) };
        let mut line = String::with_capacity(64);
        line.push_str(if block.is_empty() { "PUB " } else { "HPUB " });
        line.push_str(subject);
        if let Some(reply) = reply {
            line.push(' ');
            line.push_str(reply);
        }
        // A text takes whatever is written.
        let _ = if block.is_empty() {
            write!(line, " {}", payload.len())
        } else {
            write!(line, " {} {}", block.len(), block.len() + payload.len())
        };
        self.line(&line);
        self.buffer.extend_from_slice(block.as_bytes());
        self.buffer.extend_from_slice(payload);
        self.buffer.extend_from_slice(b"\r\n");
    }
}

fn block(headers: &[(Cow<'_, str>, Cow<'_, str>)]) -> String {
    let mut block = "NATS/1.0\r\n".to_owned();
    for (name, value) in headers {
        block.push_str(name);
        block.push_str(": ");
        block.push_str(value);
        block.push_str("\r\n");
    }
    block.push_str("\r\n");
    block
}

#[cfg(test)]
mod tests;
