//! The text a pipeline was written in, and what is wrong with it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::error::{Error, ErrorKind, visible, visible_lines};
use crate::options::Diagnostic;

/// All text of a pipeline: the file, then what was laid over it. One address space: a place is a range of bytes
/// from the beginning of the file on, through all pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug)]
struct Piece {
    name: String,
    text: String,
    start: usize,
}

impl Written {
    /// Adds a piece; gives the place of its first byte.
    pub(super) fn push(&mut self, name: impl Into<String>, text: impl Into<String>) -> usize {
        // One byte between pieces, so that the end of one is not the beginning of the next.
        let start = self.pieces.last().map_or(0, |last| last.start + last.text.len() + 1);
        self.pieces.push(Piece { name: name.into(), text: text.into(), start });
        start
    }

    /// The pieces in order: the place of the first byte, and the text.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (usize, &str)> {
        self.pieces.iter().map(|piece| (piece.start, piece.text.as_str()))
    }

    /// The text at `span`.
    pub(super) fn get(&self, span: &Range<usize>) -> Option<&str> {
        let piece = self.piece(span)?;
        piece.text.get(span.start - piece.start..span.end.checked_sub(piece.start)?)
    }

    fn piece(&self, span: &Range<usize>) -> Option<&Piece> {
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
        // The renderer shows most of what a terminal would obey as something else; the escapes that are left are its own styles.
        let text = renderer.render(&[group]);
        text.split('\u{1b}').map(visible_lines).collect::<Vec<_>>().join("\u{1b}")
    }
}

fn snippet<'p>(piece: &'p Piece, span: &Range<usize>) -> Snippet<'p, annotate_snippets::Annotation<'p>> {
    let within = |at: usize| piece.text.floor_char_boundary(at.saturating_sub(piece.start));
    let (start, end) = (within(span.start), within(span.end));
    let end = end.max(start);
    Snippet::source(piece.text.as_str())
        .path(visible(&piece.name))
        .annotation(AnnotationKind::Primary.span(start..end))
}

/// A file with more errors than this is hardly a pipeline.
const SHOWN: usize = 20;

/// Everything that is wrong with a pipeline as written, each with its place.
#[derive(Clone)]
pub struct SpecError {
    /// What is wrong, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    written: Arc<Written>,
    kind: ErrorKind,
}

impl SpecError {
    pub(super) fn new(written: Arc<Written>, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end));
        Self { diagnostics, written, kind: ErrorKind::Config }
    }

    /// The same, where it is an error of another kind.
    pub(super) fn of_kind(self, kind: ErrorKind) -> Self {
        Self { kind, ..self }
    }

    /// The class of the error: [`ErrorKind::Config`], unless all that is wrong is of another one.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The diagnostics with the lines that they are about; in colour where `is_styled`.
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
