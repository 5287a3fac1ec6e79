//! Text from elsewhere, made fit for a terminal: a script must not move its reader's cursor or repaint the screen.

/// Control characters other than line feed and tab become visible.
pub(crate) fn clean(text: &str) -> String {
    text.chars().flat_map(|character| visible(character, character == '\n' || character == '\t')).collect()
}

/// The same on one line.
pub(crate) fn clean_line(text: &str) -> String {
    text.chars().flat_map(|character| visible(character, character == '\t')).collect()
}

fn visible(character: char, is_kept: bool) -> Vec<char> {
    if character.is_control() && !is_kept { character.escape_default().collect() } else { vec![character] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_lose_their_power() {
        assert_eq!(clean("a\u{1b}[2Jb\r\n\tc\u{9b}"), "a\\u{1b}[2Jb\\r\n\tc\\u{9b}");
        assert_eq!(clean_line("a\nb"), "a\\nb");
    }
}
