//! How deep a source goes, told from its tokens before anything recurses over it. Parsers and whatever walks a tree take
//! stack with its depth and sometimes time with its square; the runtime itself takes about 400 brackets.
//!
//! What deepens a tree is an open bracket, an operator or keyword of an expression or statement that is not over, an open
//! `<` and an `else`. Too much is counted rather than too little: the bounds are far from what people and bundlers write.

mod words;

use super::Fault;
use crate::limits::{SOURCE_CHAIN_MAX, SOURCE_NESTING_MAX};
use words::Word;

/// # Errors
/// Where the source goes too deep.
pub(crate) fn check(text: &str) -> Result<(), Fault> {
    let mut scanner = Scanner { bytes: text.as_bytes(), ..Scanner::default() };
    while scanner.at < scanner.bytes.len() {
        scanner.token()?;
    }
    Ok(())
}

#[derive(Default)]
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    previous: Previous,
    is_new_line: bool,
    /// What surrounds the brackets that are open.
    outer: Vec<Level>,
    level: Level,
    /// Links of all levels but the innermost.
    outer_links: usize,
    /// Up to here no regular expression ends, as far as is known: it is not looked for again at each slash.
    unended_until: usize,
}

#[derive(Clone, Copy, Default)]
struct Level {
    opened_by: Opening,
    /// Operators and keywords since the start of the expression or statement.
    links: usize,
    /// `<` without a `>`: type arguments hold commas and still go on.
    angles: usize,
    /// `else` goes on with a statement that was over.
    elses: usize,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Opening {
    #[default]
    Bracket,
    /// `if (`: what follows the closing one is a statement.
    Head,
    /// `${`
    Template,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Previous {
    /// An operator, or nothing at all: an operand has to follow.
    #[default]
    Operator,
    Operand,
    Dot,
    /// `if`, `while` and the like.
    Head,
    HeadClosed,
    BraceClosed,
}

impl Previous {
    fn ends_operand(self) -> bool {
        matches!(self, Self::Operand | Self::BraceClosed)
    }
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn token(&mut self) -> Result<(), Fault> {
        let byte = self.peek(0);
        match byte {
            b'\n' | b'\r' => {
                self.is_new_line = true;
                self.at += 1;
                return Ok(());
            }
            b' ' | b'\t' => {
                self.at += 1;
                return Ok(());
            }
            b'/' if matches!(self.peek(1), b'/' | b'*') => {
                self.comment();
                return Ok(());
            }
            b'\'' | b'"' => self.operand(|scanner| scanner.string(byte))?,
            b'`' => {
                self.link_if_operand()?;
                self.at += 1;
                self.template()?;
            }
            b'0'..=b'9' => self.operand(|scanner| scanner.skip_while(|byte| is_word(byte) || byte == b'.'))?,
            b'(' | b'[' | b'{' => self.open(byte)?,
            b')' | b']' | b'}' => self.close(byte)?,
            b';' => self.end_statement(),
            b',' => {
                self.level.links = self.level.angles + self.level.elses;
                self.punctuation(1);
            }
            _ if is_word(byte) => self.word()?,
            _ => self.operator(byte)?,
        }
        self.is_new_line = false;
        Ok(())
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.at < self.bytes.len() && wanted(self.peek(0)) {
            self.at += 1;
        }
    }

    fn comment(&mut self) {
        if self.peek(1) == b'/' {
            return self.skip_while(|byte| byte != b'\n');
        }
        self.at += 2;
        while self.at < self.bytes.len() && (self.peek(0), self.peek(1)) != (b'*', b'/') {
            self.is_new_line |= self.peek(0) == b'\n';
            self.at += 1;
        }
        self.at += 2;
    }

    /// To its end, or to the end of the line if it has none.
    fn string(&mut self, quote: u8) {
        self.at += 1;
        while self.at < self.bytes.len() {
            match self.peek(0) {
                b'\\' => self.at += 1,
                b'\n' => return,
                byte if byte == quote => {
                    self.at += 1;
                    return;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// The text of a template up to its end or to the next `${`.
    fn template(&mut self) -> Result<(), Fault> {
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (b'\\', _) => self.at += 1,
                (b'`', _) => {
                    self.punctuation(1);
                    self.previous = Previous::Operand;
                    return Ok(());
                }
                (b'$', b'{') => {
                    self.enter(Opening::Template)?;
                    self.punctuation(2);
                    return Ok(());
                }
                _ => {}
            }
            self.at += 1;
        }
        Ok(())
    }

    fn operand(&mut self, skip: impl FnOnce(&mut Self)) -> Result<(), Fault> {
        self.begin(Word::Plain)?;
        skip(self);
        self.previous = Previous::Operand;
        Ok(())
    }

    /// A word or a literal begins: perhaps another statement, without a semicolon before it.
    fn begin(&mut self, word: Word) -> Result<(), Fault> {
        let goes_on = matches!(word, Word::Infix | Word::Else);
        let is_over = self.previous == Previous::BraceClosed || (self.previous == Previous::Operand && self.is_new_line);
        if is_over && !goes_on {
            self.level.links = self.level.elses;
            self.level.angles = 0;
            return Ok(());
        }
        self.link_if_operand()
    }

    fn word(&mut self) -> Result<(), Fault> {
        let start = self.at;
        self.skip_while(is_word);
        let word = match self.previous {
            // A property may be called anything.
            Previous::Dot => Word::Plain,
            _ => Word::of(&self.bytes[start..self.at]),
        };
        self.begin(word)?;
        self.previous = match word {
            Word::Plain => Previous::Operand,
            Word::Head => Previous::Head,
            Word::Prefix | Word::Infix | Word::Else | Word::Case => Previous::Operator,
        };
        match word {
            Word::Plain => Ok(()),
            Word::Case => {
                self.level.links = self.level.elses;
                Ok(())
            }
            Word::Else => {
                self.level.elses += 1;
                self.link()
            }
            Word::Head | Word::Prefix | Word::Infix => self.link(),
        }
    }

    fn open(&mut self, byte: u8) -> Result<(), Fault> {
        if byte != b'{' {
            self.link_if_operand()?;
        }
        self.enter(if self.previous == Previous::Head { Opening::Head } else { Opening::Bracket })?;
        self.punctuation(1);
        Ok(())
    }

    fn enter(&mut self, opened_by: Opening) -> Result<(), Fault> {
        if self.outer.len() >= SOURCE_NESTING_MAX {
            return Err(self.too_deep());
        }
        self.outer_links += self.level.links;
        self.outer.push(std::mem::replace(&mut self.level, Level { opened_by, ..Level::default() }));
        Ok(())
    }

    /// Brackets that do not match are the parser's to refuse.
    fn close(&mut self, byte: u8) -> Result<(), Fault> {
        self.at += 1;
        let opened_by = self.level.opened_by;
        match self.outer.pop() {
            Some(level) => {
                self.level = level;
                self.outer_links -= level.links;
            }
            None => self.level = Level::default(),
        }
        self.previous = match (byte, opened_by) {
            (b'}', Opening::Template) => return self.template(),
            (b'}', _) => Previous::BraceClosed,
            (b')', Opening::Head) => Previous::HeadClosed,
            _ => Previous::Operand,
        };
        Ok(())
    }

    fn end_statement(&mut self) {
        self.level.links = self.level.elses;
        self.level.angles = 0;
        self.punctuation(1);
    }

    fn operator(&mut self, byte: u8) -> Result<(), Fault> {
        match byte {
            b'/' if !self.previous.ends_operand() || self.previous == Previous::BraceClosed => {
                if let Some(end) = self.regular_expression()? {
                    self.at = end;
                    self.previous = Previous::Operand;
                    return Ok(());
                }
            }
            b'.' | b'?' if byte == b'.' || (self.peek(1) == b'.' && !self.peek(2).is_ascii_digit()) => {
                self.punctuation(if byte == b'.' { 1 } else { 2 });
                self.previous = Previous::Dot;
                return self.link();
            }
            b'!' if self.previous.ends_operand() && !self.is_new_line && self.peek(1) != b'=' => {
                self.at += 1;
                return self.link();
            }
            b'+' | b'-' if self.peek(1) == byte && self.previous.ends_operand() && !self.is_new_line => {
                self.at += 2;
                return self.link();
            }
            b'<' if !matches!(self.peek(1), b'<' | b'=') => self.level.angles += 1,
            b'>' if self.peek(1) != b'=' => self.level.angles = self.level.angles.saturating_sub(1),
            _ => {}
        }
        // `===`, `=>`, `&&=`, `**`, `<<` and the like are one; `--` and `!!` before an operand are two.
        let length = match byte {
            b'=' if self.peek(1) == b'>' => 2,
            b'=' | b'&' | b'|' | b'*' | b'?' | b'<' => {
                let same = 1 + self.run_of(byte);
                same + usize::from(self.peek(same) == b'=')
            }
            b'!' | b'+' | b'-' | b'/' | b'%' | b'^' => 1 + usize::from(self.peek(1) == b'='),
            _ => 1,
        };
        self.punctuation(length);
        self.link()
    }

    /// How often a byte follows itself, twice at the most.
    fn run_of(&self, byte: u8) -> usize {
        (1..3).take_while(|ahead| self.peek(*ahead) == byte).count()
    }

    /// The end of a regular expression that begins here; none if it does not end on its line, so that it is none.
    fn regular_expression(&mut self) -> Result<Option<usize>, Fault> {
        if self.at < self.unended_until {
            return Ok(None);
        }
        let (mut at, mut in_class, mut brackets) = (self.at + 1, false, 0);
        loop {
            match self.bytes.get(at) {
                None | Some(b'\n') => {
                    self.unended_until = at;
                    return Ok(None);
                }
                Some(b'\\') => at += 1,
                Some(b'/') if !in_class => break,
                Some(byte) => {
                    in_class = *byte == b'[' || (in_class && *byte != b']');
                    brackets += usize::from(matches!(byte, b'(' | b'[' | b'{'));
                }
            }
            at += 1;
        }
        // After a brace it may be a division as well; then what looks like an expression is code.
        if self.previous == Previous::BraceClosed && brackets > SOURCE_NESTING_MAX {
            return Err(self.too_deep());
        }
        Ok(Some(at + 1))
    }

    fn punctuation(&mut self, bytes: usize) {
        self.at += bytes;
        self.previous = Previous::Operator;
    }

    fn link_if_operand(&mut self) -> Result<(), Fault> {
        if self.previous.ends_operand() { self.link() } else { Ok(()) }
    }

    fn link(&mut self) -> Result<(), Fault> {
        self.level.links += 1;
        if self.outer_links + self.level.links <= SOURCE_CHAIN_MAX {
            return Ok(());
        }
        let message = format!("an expression or statement goes on for more than {SOURCE_CHAIN_MAX} operators and keywords here");
        Err(self.fault(message).with_help("divide it: into several statements, or into the elements of an array"))
    }

    fn too_deep(&self) -> Fault {
        let message = format!("brackets are nested deeper than {SOURCE_NESTING_MAX} levels here, which the runtime cannot take");
        self.fault(message).with_help("name the inner parts: put them into variables, types or functions of their own")
    }

    fn fault(&self, message: String) -> Fault {
        Fault::new(u32::try_from(self.at).unwrap_or(u32::MAX), message)
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'#' | b'@' | b'\\' | 0x80..)
}

#[cfg(test)]
mod tests;
