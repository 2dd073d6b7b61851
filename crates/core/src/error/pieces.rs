//! Pieces of values that are not said. What is wrong with a value is said by quoting any part of it: a unit, a letter, the folder of a path.

use std::borrow::Cow;

/// So many letters in a row are no accident.
const ALIKE: usize = 4;

/// What is counted is called by a number.
const COUNTED: [&str; 4] = ["stage", "sink", "line", "byte"];

/// Values, and what stands for them.
pub(super) struct Pieces<'m> {
    pub(super) values: &'m [(String, String)],
    /// Names that are no piece of a value, whatever it is.
    pub(super) names: &'m [&'m str],
}

impl Pieces<'_> {
    /// `text` about these values, with what stands for them in place of everything in quotes, in paths and among numbers that may be a piece of
    /// one of them. Whole values have been replaced in it before.
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
        // What stands beside a value that has been replaced is of the pipeline file, unless it is a piece of another one.
        let mut pieces = inside.split_inclusive('}').map(|piece| match piece.split_once("${") {
            Some((before, name)) => format!("{}${{{name}", self.instead_of(before, ALIKE).unwrap_or(before)),
            None => self.instead_of(piece, ALIKE).unwrap_or(piece).to_owned(),
        });
        pieces.by_ref().collect()
    }

    /// A stretch of text without blanks, behind `word`.
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

    /// What stands for the value that `piece` may be one of, if it has `shortest` letters or is all of it.
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

/// Whether the one has a stretch of the other.
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
        let pieces = Pieces { values: &values, names: &["hold"] };
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
        assert_eq!(Pieces { values: &[], names: &[] }.hide("`q`"), "`q`");
    }
}
