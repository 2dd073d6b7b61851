//! The shapes of regular JSON Lines: the same keys in the same order, strings without escapes, plain numbers.

use super::decoder::JsonDecoder;
use crate::batch::Span;
use crate::format::columns::Role;
use crate::format::glue::Glue;
use crate::format::keys::place_of;
use crate::format::lines::{FoundLines, LineShapes};
use crate::format::{MAX_FIELD, MAX_FIELDS, MAX_RECORD};
use crate::kernel::json::{Plain, plain_string, plain_value};

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
}

impl LineShape {
    /// The shape of `line`; `None` if only the reference decoder can decode it.
    fn of(line: &[u8], decoder: &JsonDecoder) -> Option<Self> {
        let mut shape = Self { places: vec![None; decoder.names.len()], ..Self::default() };
        let (mut glued, mut at) = (0, skip_spaces(line, 0));
        let mut before = b'{';
        while line.get(at) == Some(&before) {
            at = skip_spaces(line, at + 1);
            let key = plain_string(line, at + 1).filter(|_| line.get(at) == Some(&b'"'))?;
            let name = std::str::from_utf8(&line[at + 1..key]).ok()?;
            let place = shape.before.len();
            match place_of(&decoder.names, name, place).map(|field| &mut shape.places[field]) {
                Some(field @ None) => *field = Some(place),
                Some(Some(_)) => return None,
                None if decoder.leaves_out(name) => {}
                None => return None,
            }
            let colon = skip_spaces(line, key + 1);
            if line.get(colon) != Some(&b':') {
                return None;
            }
            at = skip_spaces(line, colon + 1);
            shape.before.push(Glue::new(&line[glued..at]));
            glued = plain_value(line, at)?.next;
            at = skip_spaces(line, glued);
            before = b',';
        }
        let is_whole = line.get(at) == Some(&b'}') && skip_spaces(line, at + 1) == line.len();
        shape.after = Glue::new(&line[glued..]);
        (is_whole && shape.before.len() <= MAX_FIELDS && shape.has_all(decoder)).then_some(shape)
    }

    /// Finds the values of at most `most` lines, while they have this shape.
    fn find(&self, text: &[u8], most: usize, found: &mut FoundLines) {
        while found.lines.len() < most && !self.before.is_empty() {
            let known = found.values.len();
            match self.line(text, found.next, &mut found.values) {
                Some((end, next)) => {
                    found.lines.push((found.next as u32, end as u32));
                    found.next = next;
                }
                None => return found.values.truncate(known),
            }
        }
    }

    /// Appends the values of the line that begins at `start`, if it has this shape and exceeds no limit; returns its end and the start of
    /// the next line.
    #[inline]
    fn line(&self, text: &[u8], start: usize, values: &mut Vec<Span>) -> Option<(usize, usize)> {
        let mut at = start;
        for glue in &self.before {
            at = glue.skip(text, at)?;
            let Plain { start, end, next, is_null } = plain_value(text, at)?;
            if next - at > MAX_FIELD {
                return None;
            }
            values.push(if is_null { Span::NULL } else { Span::new(start, end - start) });
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
