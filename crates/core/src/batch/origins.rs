//! The origins of records: file, line and bytes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Span;
use crate::offset::{Position, Trigger};

/// The origin of a record.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Origin {
    /// The index of its file in the list of [`Origins`].
    pub(super) file: u32,
    /// The line in the file, from 1.
    pub line: u64,
    /// Bytes into the (decompressed) file, from 0.
    pub offset: u64,
    /// The raw record without its line end; [`Span::NULL`] for sources without text.
    pub raw: Span,
}

/// The origin of each record of a batch, and its trigger: the input record whose arrival released or made it. File names are stored once
/// per batch: a reference count per record, shared by all threads, would be updated for every record.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    pub(super) files: Vec<Arc<str>>,
    pub(super) rows: Vec<Origin>,
    /// By record; empty if every record is its own trigger.
    triggers: Vec<Trigger>,
}

impl Origin {
    fn trigger(&self) -> Trigger {
        Trigger { line: self.line, offset: self.offset }
    }
}

impl Origins {
    /// No records yet, all of them from one file.
    pub fn of_file(file: Arc<str>) -> Self {
        Self { files: vec![file], rows: Vec::new(), triggers: Vec::new() }
    }

    /// The origins of records made by a stage, one for each of `triggers`.
    pub fn made_by(triggers: Vec<Trigger>) -> Self {
        let mut made = Self::default();
        made.fill(triggers.len());
        Self { triggers, ..made }
    }

    pub(super) fn saved(files: Vec<Arc<str>>, rows: Vec<Origin>) -> Self {
        Self { files, rows, triggers: Vec::new() }
    }

    /// Appends a record of the first file.
    pub fn push(&mut self, line: u64, offset: u64, raw: Span) {
        self.rows.push(Origin { file: 0, line, offset, raw });
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The origin of record `row`.
    pub fn get(&self, row: usize) -> Origin {
        self.rows[row]
    }

    /// The position of record `row`, for messages.
    pub fn position(&self, row: usize) -> Position {
        let Origin { file, line, offset, .. } = self.rows[row];
        Position { file: Arc::clone(&self.files[file as usize]), line, offset }
    }

    /// The trigger of record `row`: the record itself, unless a stage has buffered or made it.
    pub fn trigger(&self, row: usize) -> Trigger {
        self.triggers.get(row).copied().unwrap_or_else(|| self.rows[row].trigger())
    }

    /// The triggers of all of `rows`, in this order.
    pub fn triggers(&self, rows: &[u32]) -> Vec<Trigger> {
        rows.iter().map(|&row| self.trigger(row as usize)).collect()
    }

    /// Sets the trigger of each record, after a stage has buffered them.
    ///
    /// # Panics
    /// If the number of triggers is not that of the records.
    pub fn set_triggers(&mut self, triggers: Vec<Trigger>) {
        assert_eq!(triggers.len(), self.len(), "one trigger a record");
        self.triggers = triggers;
    }

    /// Adds `lines` to every line: they were counted from the start of a chunk.
    pub fn shift_lines(&mut self, lines: u64) {
        self.rows.iter_mut().for_each(|origin| origin.line += lines);
    }

    /// Replaces every offset by `place(offset)`.
    pub(crate) fn move_offsets(&mut self, mut place: impl FnMut(u64) -> u64) {
        self.rows.iter_mut().for_each(|origin| origin.offset = place(origin.offset));
    }

    /// Appends records without a known origin, up to `len` records in all.
    pub(super) fn fill(&mut self, len: usize) {
        if len > self.len() {
            let file = self.file(&"".into());
            self.rows.resize(len, Origin { file, line: 0, offset: 0, raw: Span::NULL });
            if !self.triggers.is_empty() {
                self.triggers.resize(len, Trigger::default());
            }
        }
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let mut row = 0;
        self.rows.retain(|_| (keep(row), row += 1).0);
        row = 0;
        self.triggers.retain(|_| (keep(row), row += 1).0);
    }

    pub(super) fn take(&self, rows: &[u32]) -> Self {
        let triggers = match self.triggers.is_empty() {
            true => Vec::new(),
            false => rows.iter().map(|&row| self.triggers[row as usize]).collect(),
        };
        let rows = rows.iter().map(|&row| self.rows[row as usize]).collect();
        Self { files: self.files.clone(), rows, triggers }
    }

    pub(super) fn append(&mut self, other: &Self, mut carry: impl FnMut(Span) -> Span) {
        // Only files with records: otherwise the list would grow without bound in an unbounded run.
        let mut files = vec![None; other.files.len()];
        if !(self.triggers.is_empty() && other.triggers.is_empty()) {
            let own = self.rows.iter().skip(self.triggers.len()).map(Origin::trigger);
            self.triggers.extend(own);
            self.triggers.extend((0..other.len()).map(|row| other.trigger(row)));
        }
        self.rows.reserve(other.rows.len());
        for origin in &other.rows {
            let at = origin.file as usize;
            let file = *files[at].get_or_insert_with(|| self.file(&other.files[at]));
            self.rows.push(Origin { file, raw: carry(origin.raw), ..*origin });
        }
    }

    /// The index of `file`; the last one used is compared first.
    fn file(&mut self, file: &Arc<str>) -> u32 {
        let known = self.files.iter().rposition(|known| known == file);
        known.unwrap_or_else(|| {
            self.files.push(Arc::clone(file));
            self.files.len() - 1
        }) as u32
    }
}
