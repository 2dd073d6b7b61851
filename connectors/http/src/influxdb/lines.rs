//! Prepared lines, in pieces for requests.

use tidemill_engine::error::Result;

/// Gathers prepared lines into pieces of at most so many bytes that end at a line end; a longer line is a piece of its own.
pub(super) struct Pieces<'a> {
    rows: &'a mut dyn Iterator<Item = Result<Vec<u8>>>,
    most: usize,
    rest: Vec<u8>,
    is_over: bool,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(rows: &'a mut dyn Iterator<Item = Result<Vec<u8>>>, most: usize) -> Self {
        Self { rows, most, rest: Vec::new(), is_over: false }
    }

    /// Reads until there is enough for a piece.
    fn fill(&mut self) -> Result<()> {
        while self.rest.len() < self.most && !self.is_over {
            match self.rows.next() {
                Some(lines) => self.rest.extend_from_slice(&lines?),
                None => self.is_over = true,
            }
        }
        Ok(())
    }
}

impl Iterator for Pieces<'_> {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.fill() {
            return Some(Err(error));
        }
        let end = line_end(&self.rest, self.most);
        let rest = self.rest.split_off(end);
        let piece = std::mem::replace(&mut self.rest, rest);
        (!piece.is_empty()).then_some(Ok(piece))
    }
}

/// Where a piece of at most `most` bytes of whole `lines` ends; after the first line, if that is longer.
pub(super) fn line_end(lines: &[u8], most: usize) -> usize {
    if lines.len() <= most {
        return lines.len();
    }
    let fitting = memchr::memrchr(b'\n', &lines[..most]);
    fitting.or_else(|| memchr::memchr(b'\n', lines)).map_or(lines.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_are_whole_lines_and_everything(blocks in proptest::collection::vec("([a-c]{0,9}\n){0,4}", 0..9), most in 1..40usize) {
            let mut rows = blocks.iter().map(|block| Ok(block.clone().into_bytes()));
            let pieces: Vec<Vec<u8>> = Pieces::new(&mut rows, most).collect::<Result<_>>().expect("pieces");
            for piece in &pieces {
                prop_assert!(piece.ends_with(b"\n"));
                prop_assert!(piece.len() <= most || piece.iter().filter(|&&byte| byte == b'\n').count() == 1);
            }
            prop_assert_eq!(pieces.concat(), blocks.concat().into_bytes());
        }
    }
}
