//! Makes external text safe to display.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text on one line, with an escape such as `\n` or `\u{1b}` for every invisible character that a terminal or a reader would act on:
/// control characters, line ends, bidirectional marks. Everything displayed to people that contains a name or text of external origin is
/// escaped, so that no sensor name can colour a terminal or forge a log line.
pub fn visible(text: &str) -> Cow<'_, str> {
    replaced(text, is_obeyed)
}

/// The same, but keeps line feeds: for text of several lines.
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    replaced(text, |letter| letter != '\n' && is_obeyed(letter))
}

fn replaced(text: &str, is_replaced: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_replaced) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            _ if !is_replaced(letter) => shown.push(letter),
            '\n' => shown += "\\n",
            '\r' => shown += "\\r",
            '\t' => shown += "\\t",
            // Writing to a string cannot fail.
            _ => drop(write!(shown, "{}", letter.escape_unicode())),
        }
    }
    Cow::Owned(shown)
}

/// Whether a character has an effect instead of a shape.
pub fn is_obeyed(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            // Marks, embeddings, overrides and isolates of bidirectional text.
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Separators of lines and paragraphs, a byte order mark, annotations, tags.
            | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_obeyed_is_seen_instead() {
        assert_eq!(visible("pump é 温度 °C"), "pump é 温度 °C");
        assert_eq!(visible("a\u{1b}[31m\r\nb\tc\u{7f}\u{9b}1m"), "a\\u{1b}[31m\\r\\nb\\tc\\u{7f}\\u{9b}1m");
        assert_eq!(visible("x\u{202e}y\u{2066}\u{2028}"), "x\\u{202e}y\\u{2066}\\u{2028}");
        assert_eq!(visible_lines("a\nb\r\u{7}"), "a\nb\\r\\u{7}");
        assert_eq!(visible(&visible("a\nb")), "a\\nb", "twice is once");
    }
}
