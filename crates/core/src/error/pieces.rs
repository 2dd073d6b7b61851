//! Masks parts of secret values: a message about an invalid value may quote any part of it, such as a unit, a character, or a folder of a
//! path.

use std::borrow::Cow;

/// The number of consecutive letters in common that is no coincidence.
const ALIKE: usize = 4;

/// Words followed by an ordinal.
const COUNTED: [&str; 4] = ["stage", "sink", "line", "byte"];

/// Values and their replacements.
pub(super) struct PieceMasks<'m> {
    pub(super) values: &'m [(String, String)],
    /// Names that are never masked as part of a value.
    pub(super) names: &'m [&'m str],
}

impl PieceMasks<'_> {
    /// `text` about these values, with their replacement for everything in quotes, in paths and among numbers that may be a part of one.
    /// Whole values must have been replaced before.
    pub(super) fn hide<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.values.is_empty() {
            return Cow::Borrowed(text);
        }
        let (mut hidden, mut rest, mut word) = (String::new(), text, "");
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '`' | '"' | '\'' => match rest[1..].split_once(first) {
                    Some((inside, _)) => {
                        hidden += &format!("{first}{}{first}", self.quoted(inside));
                        inside.len() + 2
                    }
                    None => {
                        hidden.push(first);
                        1
                    }
                },
                _ if is_between(first) => {
                    hidden.push(first);
                    first.len_utf8()
                }
                _ => {
                    let ends = |letter: char| is_between(letter) || matches!(letter, '`' | '"');
                    let token = &rest[..rest.find(ends).unwrap_or(rest.len())];
                    hidden += &self.token(token, word);
                    word = token;
                    token.len()
                }
            };
            rest = &rest[length..];
        }
        Cow::Owned(hidden)
    }

    fn quoted(&self, inside: &str) -> String {
        if !inside.contains("${") {
            return self.instead_of(inside, 1).unwrap_or(inside).to_owned();
        }
        // Text next to a replaced value is from the pipeline file, unless it is a part of another value.
        let mut pieces = inside.split_inclusive('}').map(|piece| match piece.split_once("${") {
            Some((before, name)) => format!("{}${{{name}", self.instead_of(before, ALIKE).unwrap_or(before)),
            None => self.instead_of(piece, ALIKE).unwrap_or(piece).to_owned(),
        });
        pieces.by_ref().collect()
    }

    /// A part of the text without whitespace, after `word`.
    fn token(&self, token: &str, word: &str) -> String {
        let core = token.trim_end_matches(['.', ',', ':', ';', '!', '?']);
        let end = &token[core.len()..];
        let is_ordinal = COUNTED.contains(&word) && core.parse::<u64>().is_ok();
        if core.chars().all(char::is_alphabetic) || is_ordinal {
            return token.to_owned();
        }
        let hide = |part| match str::contains(part, "${") {
            true => part,
            false => self.instead_of(part, 2).unwrap_or(part),
        };
        let parts: Vec<_> = core.split('/').map(hide).collect();
        parts.join("/") + end
    }

    /// The replacement of the value that may contain `piece`, if it has `shortest` letters or is the whole value.
    fn instead_of(&self, piece: &str, shortest: usize) -> Option<&str> {
        if piece.trim().is_empty() || self.names.contains(&piece) {
            return None;
        }
        let length = piece.chars().count();
        let is_piece = |(value, _): &&(String, String)| {
            value == piece || length >= shortest && value.contains(piece) || are_alike(value, piece)
        };
        self.values.iter().find(is_piece).map(|(_, instead)| &**instead)
    }
}

fn is_between(letter: char) -> bool {
    letter.is_whitespace() || "()[]".contains(letter)
}

/// Whether the texts have a common part.
fn are_alike(value: &str, piece: &str) -> bool {
    let starts: Vec<usize> = piece.char_indices().map(|(at, _)| at).chain([piece.len()]).collect();
    starts.windows(ALIKE + 1).any(|window| value.contains(&piece[window[0]..window[ALIKE]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_piece_of_a_value_is_hidden_and_nothing_else() {
        let values =
            [("5qzxj".to_owned(), "${N}".to_owned()), ("./qzxj/k/2026".to_owned(), "${P}".to_owned())];
        let pieces = PieceMasks { values: &values, names: &["hold"] };
        for (text, hidden) in [
            (
                "`hold`: `${N}` is not a duration: unknown unit `qzxj`",
                "`hold`: `${N}` is not a duration: unknown unit `${N}`",
            ),
            ("found `q` and 'z', can't read \"x\"", "found `${N}` and '${N}', can't read \"${N}\""),
            ("stage 5 (moving): write `5m`, 5 of 25", "stage 5 (moving): write `5m`, 5 of 25"),
            ("at /srv/qzxj/k/x.csv, in 2026-01", "at /srv/${N}/k/x.csv, in ${P}"),
            ("`a-qzxj-${X}/y` (in `b`)", "`${N}${X}/y` (in `b`)"),
            ("`unclosed qzxj", "`unclosed qzxj"),
        ] {
            assert_eq!(pieces.hide(text), hidden);
        }
        assert_eq!(PieceMasks { values: &[], names: &[] }.hide("`q`"), "`q`");
    }
}
