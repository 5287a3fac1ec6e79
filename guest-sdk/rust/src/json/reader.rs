//! JSON text, read byte by byte: what is next, strings, numbers, and what is left out.

use std::borrow::Cow;

use super::{fault::Fault, number};

const DEPTH_MAX: u8 = 128;

pub(super) struct Reader<'de> {
    text: &'de str,
    at: usize,
    depth: u8,
}

impl<'de> Reader<'de> {
    pub(super) fn new(text: &'de str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    pub(super) fn end(&mut self) -> Result<(), Fault> {
        if self.peek().is_some() { Err(self.fault("more text after the value")) } else { Ok(()) }
    }

    pub(super) fn fault(&self, what: &str) -> Fault {
        Fault::at(what, self.at)
    }

    pub(super) fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The first byte after white space.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    pub(super) fn rest(&self) -> &'de str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    pub(super) fn expect(&mut self, byte: u8, what: &str) -> Result<(), Fault> {
        if self.eat(byte) { Ok(()) } else { Err(self.fault(what)) }
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let is_there = self.rest().starts_with(word);
        self.at += if is_there { word.len() } else { 0 };
        is_there
    }

    pub(super) fn enter(&mut self) -> Result<(), Fault> {
        self.at += 1;
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(self.fault("nested too deeply")) } else { Ok(()) }
    }

    pub(super) fn leave(&mut self, close: u8) -> Result<(), Fault> {
        self.depth -= 1;
        self.expect(close, if close == b']' { "expected `]`" } else { "expected `}`" })
    }

    pub(super) fn number(&mut self) -> Result<(&'de str, bool), Fault> {
        let (length, is_integer) = number::scan(self.rest().as_bytes()).ok_or_else(|| self.fault("no number"))?;
        let text = self.rest().get(..length).unwrap_or_default();
        self.at += length;
        Ok((text, is_integer))
    }

    pub(super) fn string(&mut self) -> Result<Cow<'de, str>, Fault> {
        self.expect(b'"', "expected a string")?;
        let mut owned: Option<String> = None;
        loop {
            let begin = self.at;
            while !matches!(self.byte(), None | Some(b'"' | b'\\' | 0..0x20)) {
                self.at += 1;
            }
            let part = self.text.get(begin..self.at).unwrap_or_default();
            let end = self.byte().filter(|byte| *byte >= 0x20).ok_or_else(|| self.fault("a string without its end"))?;
            self.at += 1;
            if end == b'"' {
                return Ok(match owned {
                    None => Cow::Borrowed(part),
                    Some(mut text) => {
                        text.push_str(part);
                        Cow::Owned(text)
                    }
                });
            }
            let text = owned.get_or_insert_default();
            text.push_str(part);
            text.push(self.escaped()?);
        }
    }

    pub(super) fn escaped(&mut self) -> Result<char, Fault> {
        let byte = self.byte().unwrap_or_default();
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => byte as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.fault("no such escape")),
        })
    }

    pub(super) fn unicode(&mut self) -> Result<char, Fault> {
        let mut code = self.hex()?;
        if (0xd800..0xdc00).contains(&code) && self.eat_word("\\u") {
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            }
        }
        char::from_u32(code).ok_or_else(|| self.fault("half of a surrogate pair"))
    }

    pub(super) fn hex(&mut self) -> Result<u32, Fault> {
        let mut code = 0;
        for _ in 0..4 {
            let digit =
                self.byte().and_then(|byte| (byte as char).to_digit(16)).ok_or_else(|| self.fault("expected four hexadecimal digits"))?;
            code = code << 4 | digit;
            self.at += 1;
        }
        Ok(code)
    }

    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| ()),
            Some(b'{') => self.skip_items(b'}'),
            Some(b'[') => self.skip_items(b']'),
            Some(_) if self.eat_word("null") || self.eat_word("true") || self.eat_word("false") => Ok(()),
            _ => Err(self.fault("expected a value")),
        }
    }

    /// The text of the value that is next.
    pub(super) fn skipped(&mut self) -> Result<&'de str, Fault> {
        self.peek();
        let begin = self.at;
        self.skip()?;
        Ok(self.text.get(begin..self.at).unwrap_or_default())
    }

    pub(super) fn skip_items(&mut self, close: u8) -> Result<(), Fault> {
        self.enter()?;
        let mut is_first = true;
        while self.next(close, &mut is_first)? {
            if close == b'}' {
                self.string()?;
                self.expect(b':', "expected `:`")?;
            }
            self.skip()?;
        }
        self.leave(close)
    }

    /// Whether another item follows.
    pub(super) fn next(&mut self, close: u8, is_first: &mut bool) -> Result<bool, Fault> {
        if self.peek() == Some(close) {
            return Ok(false);
        }
        if !std::mem::take(is_first) {
            self.expect(b',', "expected `,`")?;
            if self.peek() == Some(close) {
                return Err(self.fault("nothing after a `,`"));
            }
        }
        Ok(true)
    }
}
