//! The shapes of regular JSON Lines: the same keys in the same order, strings, plain numbers.

use super::decoder::JsonDecoder;
use crate::batch::Span;
use crate::format::columns::Role;
use crate::format::glue::Glue;
use crate::format::keys::place_of;
use crate::format::lines::{FoundLines, LineShapes};
use crate::format::{MAX_FIELD, MAX_FIELDS, MAX_RECORD};
use crate::kernel::json::{Plain, plain_value, unescape_string};

/// The two most recently used shapes, the latest first.
#[derive(Default)]
pub(super) struct Shapes([LineShape; 2]);

/// The shape of a line: everything but its values.
#[derive(Default)]
struct LineShape {
    /// The text before each value.
    before: Vec<Glue>,
    /// The text after the last value.
    after: Glue,
    /// By field of the decoder: the index of its value.
    places: Vec<Option<usize>>,
    /// By value: whether it is a string that may have escapes. Those of times and numbers are left to the reference decoder.
    may_be_escaped: Vec<bool>,
}

impl LineShape {
    /// The shape of `line`; `None` if only the reference decoder can decode it.
    fn of(line: &[u8], decoder: &JsonDecoder) -> Option<Self> {
        let mut shape = Self { places: vec![None; decoder.names.len()], ..Self::default() };
        let (mut glued, mut at) = (0, skip_spaces(line, 0));
        let (mut before, mut made) = (b'{', Vec::new());
        while line.get(at) == Some(&before) {
            made.clear();
            let key = unescape_string(line, skip_spaces(line, at + 1), &mut made)?;
            shape.add_field(std::str::from_utf8(&made).ok()?, decoder)?;
            let colon = skip_spaces(line, key);
            if line.get(colon) != Some(&b':') {
                return None;
            }
            at = skip_spaces(line, colon + 1);
            shape.before.push(Glue::new(&line[glued..at]));
            glued = value(line, at, shape.may_be_escaped.last() == Some(&true), &mut made)?.1;
            at = skip_spaces(line, glued);
            before = b',';
        }
        let is_whole = line.get(at) == Some(&b'}') && skip_spaces(line, at + 1) == line.len();
        shape.after = Glue::new(&line[glued..]);
        (is_whole && shape.before.len() <= MAX_FIELDS && shape.has_all(decoder)).then_some(shape)
    }

    /// Adds the next field; `None` if only the reference decoder can decode its object.
    fn add_field(&mut self, name: &str, decoder: &JsonDecoder) -> Option<()> {
        let place = self.may_be_escaped.len();
        let field = place_of(&decoder.names, name, place);
        match field.map(|field| &mut self.places[field]) {
            Some(field @ None) => *field = Some(place),
            Some(Some(_)) => return None,
            None if decoder.leaves_out(name) => {}
            None => return None,
        }
        let role = field.map(|field| decoder.layout.roles[field]);
        self.may_be_escaped.push(matches!(role, None | Some(Role::Sensor(_) | Role::Text(_))));
        Some(())
    }

    /// Finds the values of at most `most` lines, while they have this shape.
    fn find(&self, text: &[u8], most: usize, found: &mut FoundLines) {
        while found.lines.len() < most && !self.before.is_empty() {
            let (known, made) = (found.values.len(), found.made.len());
            match self.line(text, found.next, &mut found.values, &mut found.made) {
                Some((end, next)) => {
                    found.lines.push((found.next as u32, end as u32));
                    found.next = next;
                }
                None => {
                    found.made.truncate(made);
                    return found.values.truncate(known);
                }
            }
        }
    }

    /// Appends the values of the line that begins at `start`, if it has this shape and exceeds no limit; returns its end and the start of
    /// the next line.
    #[inline]
    fn line(
        &self,
        text: &[u8],
        start: usize,
        values: &mut Vec<Span>,
        made: &mut Vec<u8>,
    ) -> Option<(usize, usize)> {
        let mut at = start;
        for (glue, &may_be_escaped) in self.before.iter().zip(&self.may_be_escaped) {
            at = glue.skip(text, at)?;
            let (span, next) = value(text, at, may_be_escaped, made)?;
            if next - at > MAX_FIELD {
                return None;
            }
            values.push(span);
            at = next;
        }
        let end = self.after.skip(text, at)?;
        let next = match text.get(end) {
            None => end,
            Some(b'\n') => end + 1,
            Some(b'\r') => end + 1 + usize::from(text.get(end + 1) == Some(&b'\n')),
            _ => return None,
        };
        (end - start <= MAX_RECORD).then_some((end, next))
    }

    /// Whether it has values, including all that a complete record needs.
    fn has_all(&self, decoder: &JsonDecoder) -> bool {
        let is_needed = |role| matches!(role, Role::Time(_) | Role::Sensor(_));
        let mut roles = decoder.layout.roles.iter().zip(&self.places);
        !self.before.is_empty() && roles.all(|(&role, place)| place.is_some() || !is_needed(role))
    }
}

/// The value that begins at `at`, and the position after it; a string with escapes is unescaped into `made`.
#[inline]
fn value(text: &[u8], at: usize, may_be_escaped: bool, made: &mut Vec<u8>) -> Option<(Span, usize)> {
    match plain_value(text, at) {
        Some(Plain { next, is_null: true, .. }) => Some((Span::NULL, next)),
        Some(Plain { start, end, next, .. }) => Some((Span::new(start, end - start), next)),
        None if may_be_escaped => {
            let start = made.len();
            let next = unescape_string(text, at, made)?;
            Some((Span::new(text.len() + start, made.len() - start), next))
        }
        None => None,
    }
}

fn skip_spaces(line: &[u8], mut at: usize) -> usize {
    while matches!(line.get(at), Some(b' ' | b'\t')) {
        at += 1;
    }
    at
}

impl LineShapes<JsonDecoder> for Shapes {
    /// Lines of one shape, which becomes the first one to try.
    fn find(&mut self, text: &[u8], _decoder: &JsonDecoder, most: usize, found: &mut FoundLines) {
        for _ in 0..self.0.len() {
            let shape = &self.0[0];
            shape.find(text, most, found);
            if !found.lines.is_empty() {
                found.width = shape.before.len();
                found.places.clone_from(&shape.places);
                return;
            }
            self.0.swap(0, 1);
        }
    }

    /// The new shape replaces the least recently used one.
    fn learn(&mut self, line: &[u8], decoder: &JsonDecoder) -> bool {
        let Some(shape) = LineShape::of(line, decoder) else { return false };
        self.0[1] = shape;
        self.0.swap(0, 1);
        true
    }
}

#[cfg(test)]
#[path = "shapes_tests.rs"]
mod tests;
