//! Frames of the protocol, from bytes and to bytes. Whoever sends them may be anybody: lines, headers and payloads are bounded, and of a payload that is
//! longer than anybody wants the rest is thrown away as it comes.
//!
//! A server passes on whatever others publish: subjects that are no text, headers that are none. Such a message is still a message, or whoever may
//! publish could keep a listener from all that comes after it.

use std::{borrow::Cow, fmt::Write as _};

use bytes::{Buf as _, Bytes, BytesMut};

use super::Fault;

/// Bytes of a line; a server says who it is in one.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a message's headers, and how many they are; of a message with more none is kept.
const HEADERS_BYTES_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 1_000;
/// Bytes that a server may say that a message has: no server takes more.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Characters of what a server says that are shown.
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
    /// Why whoever published the message is not understood: then there are no fields.
    pub(crate) fault: Option<&'static str>,
}

impl Headers {
    #[cfg(test)]
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn unread(fault: &'static str) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    fn parse(block: &[u8]) -> Self {
        let text = String::from_utf8_lossy(block);
        let mut lines = text.split("\r\n");
        let Some(version) = lines.next().and_then(|line| line.strip_prefix("NATS/1.0")) else {
            return Self::unread("they do not begin with their version");
        };
        let (status, description) = version.trim().split_once(' ').unwrap_or((version.trim(), ""));
        let mut headers = Self { description: shown(description), ..Self::default() };
        if !status.is_empty() {
            let Ok(status) = status.parse() else { return Self::unread("their status is no number") };
            headers.status = Some(status);
        }
        for line in lines.filter(|line| !line.is_empty()) {
            let Some((name, value)) = line.split_once(':') else { return Self::unread("one of them has no colon") };
            if headers.fields.len() == HEADERS_MAX {
                return Self::unread("there are too many of them");
            }
            headers.fields.push((name.trim().to_owned(), value.trim().to_owned()));
        }
        headers
    }

    /// Bytes of what they hold in memory.
    fn len_bytes(&self) -> usize {
        let of_fields = |(name, value): &(String, String)| size_of::<(String, String)>() + name.len() + value.len();
        self.description.len() + self.fields.iter().map(of_fields).sum::<usize>()
    }
}

impl Message {
    /// Bytes of what it holds in memory.
    pub(crate) fn len_bytes(&self) -> usize {
        let of_subjects = self.subject.len() + self.reply.as_ref().map_or(0, String::len);
        size_of::<Self>() + of_subjects + self.headers.len_bytes() + self.payload.len()
    }
}

/// The line of a message whose bytes follow.
#[derive(Debug)]
struct Announced {
    sid: u64,
    subject: String,
    reply: Option<String>,
    /// None: there are more than anybody wants, and they are thrown away before the payload.
    headers_bytes: Option<usize>,
    payload_bytes: usize,
}

/// Takes bytes in and gives frames out.
pub(crate) struct Reader {
    buffer: BytesMut,
    announced: Option<Announced>,
    /// Bytes that are thrown away: of the payload that was given out last, or of headers.
    discard: usize,
    /// Bytes in which no line has ended: they are not looked at again.
    searched: usize,
    /// Bytes of a payload that are kept.
    payload_bytes_kept: usize,
}

impl Reader {
    pub(crate) fn new(payload_bytes_kept: usize) -> Self {
        Self { buffer: BytesMut::new(), announced: None, discard: 0, searched: 0, payload_bytes_kept }
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
                let whole = announced.headers_bytes.unwrap_or(0) + kept + if rest == 0 { 2 } else { 0 };
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
        let most = self.buffer.len().min(LINE_BYTES_MAX);
        let Some(end) = memchr::memchr(b'\n', &self.buffer[self.searched..most]).map(|end| self.searched + end) else {
            self.searched = most;
            return if most == LINE_BYTES_MAX { Err(Fault::protocol("a line without an end")) } else { Ok(None) };
        };
        self.searched = 0;
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
        Ok(match line[..word].to_ascii_uppercase().as_slice() {
            b"MSG" => {
                self.announced = Some(announced(&String::from_utf8_lossy(&rest), false)?.0);
                None
            }
            b"HMSG" => {
                let (announced, discard) = announced(&String::from_utf8_lossy(&rest), true)?;
                (self.announced, self.discard) = (Some(announced), discard);
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
        let headers = match headers_bytes {
            None => Headers::unread("they have too many bytes"),
            Some(0) => Headers::default(),
            Some(bytes) => Headers::parse(&self.buffer.split_to(bytes)),
        };
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

/// `<subject> <sid> [reply] [bytes of headers] <bytes of all>`; with how many bytes are thrown away after the line.
fn announced(line: &str, has_headers: bool) -> Result<(Announced, usize), Fault> {
    let fault = || Fault::protocol("a message that is not announced as it should");
    let number = |text: &str| text.parse::<usize>().ok().filter(|bytes| *bytes <= MESSAGE_BYTES_MAX).ok_or_else(fault);
    // What the server takes for the end of a word, and nothing else: anything else may be in a subject.
    let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).take(6).collect();
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
    let payload_bytes = all.checked_sub(headers_bytes).ok_or_else(fault)?;
    let is_kept = headers_bytes <= HEADERS_BYTES_MAX;
    let announced = Announced {
        sid: sid.parse().map_err(|_| fault())?,
        subject: (*subject).to_owned(),
        reply: reply.map(|reply| (*reply).to_owned()),
        headers_bytes: is_kept.then_some(headers_bytes),
        payload_bytes,
    };
    Ok((announced, if is_kept { 0 } else { headers_bytes }))
}

/// What a server says to be shown, without its quotes, and without what would spoil a log.
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
