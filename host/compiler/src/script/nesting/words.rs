//! What a word does to the expression or statement that it stands in.

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// A name, a literal, or a keyword behind which an operand is complete.
    Plain,
    /// An operand or a statement follows.
    Prefix,
    /// Between two operands.
    Infix,
    /// Brackets follow, and then a statement.
    Head,
    Else,
    /// Begins anew inside of a block.
    Case,
}

impl Word {
    pub(super) fn of(word: &[u8]) -> Self {
        match word {
            b"in" | b"instanceof" | b"of" | b"as" | b"satisfies" | b"is" | b"extends" | b"implements" | b"catch" | b"finally" => {
                Self::Infix
            }
            b"if" | b"while" | b"for" | b"with" => Self::Head,
            b"else" => Self::Else,
            b"case" | b"default" => Self::Case,
            b"typeof" | b"void" | b"delete" | b"new" | b"await" | b"yield" | b"return" | b"throw" | b"do" | b"keyof" | b"unique"
            | b"readonly" | b"infer" | b"asserts" | b"abstract" => Self::Prefix,
            _ => Self::Plain,
        }
    }
}
