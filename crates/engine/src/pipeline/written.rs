//! The text of a pipeline, and its mistakes.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::error::{Error, ErrorKind, Hidden, visible, visible_lines};
use crate::options::Diagnostic;

/// All text of a pipeline: the file, then the overrides. One address space: a position is a byte offset over all pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    pieces: Vec<WrittenPiece>,
}

#[derive(Clone, Debug)]
struct WrittenPiece {
    name: String,
    text: String,
    start: usize,
}

impl Written {
    /// Appends a piece; returns the position of its first byte.
    pub(super) fn push(&mut self, name: impl Into<String>, text: impl Into<String>) -> usize {
        // One byte between pieces, so that the end of one differs from the beginning of the next.
        let start = self.pieces.last().map_or(0, |last| last.start + last.text.len() + 1);
        self.pieces.push(WrittenPiece { name: name.into(), text: text.into(), start });
        start
    }

    /// The pieces in order: the position of the first byte, and the text.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (usize, &str)> {
        self.pieces.iter().map(|piece| (piece.start, piece.text.as_str()))
    }

    /// The text at `span`.
    pub(super) fn get(&self, span: &Range<usize>) -> Option<&str> {
        let piece = self.piece(span)?;
        piece.text.get(span.start - piece.start..span.end.checked_sub(piece.start)?)
    }

    /// The same text, with every place where it is, and stars where these values are written.
    pub(super) fn without<'h>(&self, secrets: impl IntoIterator<Item = &'h Hidden>) -> Self {
        let mut without = self.clone();
        for secret in secrets {
            without.pieces.iter_mut().for_each(|piece| piece.text = secret.blank(&piece.text));
        }
        without
    }

    fn piece(&self, span: &Range<usize>) -> Option<&WrittenPiece> {
        self.pieces.iter().rev().find(|piece| piece.start <= span.start)
    }

    fn render(&self, diagnostic: &Diagnostic, renderer: &Renderer) -> String {
        let title = Level::ERROR.primary_title(visible(&diagnostic.message));
        let mut group = match self.piece(&diagnostic.span) {
            Some(piece) => title.element(snippet(piece, &diagnostic.span)),
            None => Group::with_title(title),
        };
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(visible(help)));
        }
        // The renderer escapes most control characters in the text; the remaining escapes are its own styles.
        let text = renderer.render(&[group]);
        text.split('\u{1b}').map(visible_lines).collect::<Vec<_>>().join("\u{1b}")
    }
}

fn snippet<'p>(
    piece: &'p WrittenPiece,
    span: &Range<usize>,
) -> Snippet<'p, annotate_snippets::Annotation<'p>> {
    let within = |at: usize| piece.text.floor_char_boundary(at.saturating_sub(piece.start));
    let (start, end) = (within(span.start), within(span.end));
    let end = end.max(start);
    Snippet::source(piece.text.as_str())
        .path(visible(&piece.name))
        .annotation(AnnotationKind::Primary.span(start..end))
}

/// A file with more errors than this is probably not a pipeline.
const SHOWN: usize = 20;

/// All mistakes in a pipeline as written, each with its position.
#[derive(Clone)]
pub struct SpecError {
    /// The mistakes, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    written: Arc<Written>,
    kind: ErrorKind,
}

impl SpecError {
    pub(super) fn new(written: Arc<Written>, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end));
        Self { diagnostics, written, kind: ErrorKind::Config }
    }

    /// The same error with another kind.
    pub(super) fn of_kind(self, kind: ErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// The kind of the error: [`ErrorKind::Config`], unless all mistakes are of another kind.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Renders the diagnostics with the lines that they are about; in colour if `is_styled`.
    pub fn render(&self, is_styled: bool) -> String {
        let renderer = if is_styled { Renderer::styled() } else { Renderer::plain() };
        let shown = self.diagnostics.iter().take(SHOWN);
        let mut all: Vec<_> = shown.map(|one| self.written.render(one, &renderer)).collect();
        if let more @ 1.. = self.diagnostics.len().saturating_sub(SHOWN) {
            all.push(format!("… and {more} more; is it a pipeline file?"));
        }
        all.join("\n\n")
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl fmt::Debug for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for SpecError {}

impl From<SpecError> for Error {
    fn from(error: SpecError) -> Self {
        let text = error.to_string();
        let mut lines = text.lines().map(str::to_owned);
        Self::new(error.kind, lines.next().unwrap_or_default()).with_lines(lines)
    }
}
