//! Building the table.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::sync::Arc;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::Console;
use super::number::short;
use crate::atomic::AtomicFile;
use crate::batch::{Batch, Column, FieldRole, FieldType, Schema};
use crate::error::{Result, visible};
use crate::format::text::{write_boolean, write_float, write_integer, write_time};
use crate::sensor::Sensors;
use crate::sink::Sink;

/// Records that determine the column widths.
const MEASURED: usize = 1000;
/// Longer texts are truncated.
const LONGEST: usize = 40;
/// Blanks between columns.
const GAP: usize = 2;
/// Shown in place of omitted columns.
const LEFT_OUT: &str = "…";

/// The running sink.
pub(super) struct Table {
    options: Console,
    schema: Arc<Schema>,
    output: AtomicFile,
    /// Width in characters; unlimited if `None`.
    room: Option<usize>,
    widths: Vec<usize>,
    /// The columns shown, and how many of them come before the omitted ones; empty before the header is written.
    shown: Vec<usize>,
    first: usize,
    /// Lines held until the widths are known.
    pending: Vec<Vec<String>>,
    records: u64,
}

impl Table {
    pub(super) fn new(options: Console, schema: &Arc<Schema>) -> Result<Self> {
        let widths = schema.fields().iter().map(|field| cut(&field.name).width()).collect();
        Ok(Self {
            room: options.width.map(usize::from).or_else(terminal),
            options,
            schema: Arc::clone(schema),
            output: AtomicFile::create("-")?,
            widths,
            shown: Vec::new(),
            first: 0,
            pending: Vec::new(),
            records: 0,
        })
    }

    fn cell(&self, batch: &Batch, column: &Column, row: usize, sensors: &Sensors) -> String {
        let mut out = Vec::new();
        match column {
            Column::Time(times) => write_time(batch, times, row, &mut out),
            Column::Sensor(ids) => out.extend_from_slice(sensors.name(ids[row]).as_bytes()),
            Column::F64(numbers) => match (numbers.get(row), self.options.decimals) {
                (None, _) => {}
                (Some(value), None) => out.extend_from_slice(short(value).as_bytes()),
                (Some(value), decimals) => write_float(value, decimals, &mut out),
            },
            Column::I64(numbers) => {
                numbers.get(row).into_iter().for_each(|value| write_integer(value, &mut out))
            }
            Column::U64(numbers) => {
                numbers.get(row).into_iter().for_each(|value| write_integer(value, &mut out))
            }
            Column::Bool(booleans) => {
                booleans.get(row).into_iter().for_each(|value| write_boolean(value, &mut out));
            }
            Column::Text(spans) => out.extend_from_slice(batch.text.get(spans[row]).unwrap_or_default()),
        }
        cut(&String::from_utf8_lossy(&out))
    }

    fn line(&self, cells: &[String], left_out: &str) -> String {
        let mut line = String::new();
        for (at, &column) in self.shown.iter().enumerate() {
            if at == self.first && self.shown.len() < cells.len() {
                let _ = write!(line, "{left_out}{}", " ".repeat(GAP));
            }
            let cell = &cells[column];
            let padding = " ".repeat(self.widths[column].saturating_sub(cell.width()));
            let field = &self.schema.fields()[column];
            let is_number =
                field.role != FieldRole::Time && (field.ty == FieldType::F64 || field.ty.is_integer());
            let (before, after) = if is_number { (&*padding, "") } else { ("", &*padding) };
            let _ = write!(line, "{before}{cell}{after}{}", " ".repeat(GAP));
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }

    /// Determines the widths; writes the header and the pending lines.
    fn settle(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        for cells in &pending {
            for (width, cell) in self.widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.width());
            }
        }
        if self.shown.is_empty() {
            (self.shown, self.first) = fitting(&self.widths, self.room);
            let names: Vec<String> = self.schema.fields().iter().map(|field| cut(&field.name)).collect();
            let rule: Vec<String> = self.widths.iter().map(|&width| "─".repeat(width)).collect();
            self.print(&(self.line(&names, LEFT_OUT) + &self.line(&rule, "─")))?;
        }
        let lines: String = pending.iter().map(|cells| self.line(cells, LEFT_OUT)).collect();
        self.print(&lines)
    }

    /// The names of the omitted columns, wrapped to the width.
    fn left_out(&self) -> String {
        let names = self.schema.fields().iter().enumerate().filter(|(at, _)| !self.shown.contains(at));
        let mut lines = vec!["columns left out:".to_owned()];
        let mut names = names.map(|(_, field)| cut(&field.name)).peekable();
        while let Some(mut name) = names.next() {
            // Names may contain blanks, so they are separated by commas.
            name += if names.peek().is_some() { "," } else { "" };
            match lines.last_mut() {
                Some(last) if last.width() + 1 + name.width() <= self.room.unwrap_or(usize::MAX) => {
                    *last += " ";
                    *last += &name;
                }
                _ => lines.push(name),
            }
        }
        if lines.len() == 1 && self.shown.len() == self.widths.len() {
            return String::new();
        }
        lines.join("\n") + "\n"
    }

    fn print(&mut self, text: &str) -> Result<()> {
        self.output.write_all(text.as_bytes()).map_err(|error| self.output.failed(&error))
    }
}

/// The columns that fit into a line, and how many of them come before the omitted ones: all, or the last one and as many of the first as
/// fit, at least one.
fn fitting(widths: &[usize], room: Option<usize>) -> (Vec<usize>, usize) {
    let all: usize = widths.iter().map(|width| width + GAP).sum();
    let room = room.map_or(usize::MAX, |room| room.saturating_add(GAP));
    let (Some((last, first)), true) = (widths.split_last(), all > room && widths.len() > 2) else {
        return ((0..widths.len()).collect(), widths.len());
    };
    let mut taken = LEFT_OUT.width() + GAP + last + GAP;
    let fits = |&width: &usize| {
        taken += width + GAP;
        taken <= room
    };
    let count = first.iter().copied().take_while(fits).count().clamp(1, first.len() - 1);
    ((0..count).chain([widths.len() - 1]).collect(), count)
}

/// The width of the terminal in characters, if there is one.
fn terminal() -> Option<usize> {
    let output = std::io::stdout();
    let size = rustix::termios::tcgetwinsize(&output).ok().filter(|_| output.is_terminal())?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

/// The text on one line, truncated, with invisible characters escaped.
fn cut(text: &str) -> String {
    let text = visible(text);
    if text.width() <= LONGEST {
        return text.into_owned();
    }
    let mut width = 0;
    let fits = |letter: &char| {
        width += letter.width().unwrap_or(0);
        width <= LONGEST
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

impl Sink for Table {
    fn write(&mut self, batch: &Batch, sensors: &Sensors) -> Result<()> {
        let left = self.options.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.records));
        self.records += batch.len() as u64;
        for row in 0..(batch.len() as u64).min(left) as usize {
            let cells = batch.columns().iter().map(|column| self.cell(batch, column, row, sensors)).collect();
            self.pending.push(cells);
            if self.pending.len() >= MEASURED {
                self.settle()?;
            }
        }
        Ok(())
    }

    fn push(&mut self) -> Result<()> {
        if !self.pending.is_empty() {
            self.settle()?;
        }
        self.output.finish()
    }

    fn flush(&mut self) -> Result<()> {
        self.settle()?;
        self.print(&self.left_out())?;
        let hidden = self.options.limit.map_or(0, |limit| self.records.saturating_sub(limit));
        if hidden > 0 {
            self.print(&format!("… and {hidden} more\n"))?;
        }
        self.output.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_columns_and_the_last_are_shown_where_not_all_fit() {
        let widths = [10, 6, 6, 6, 8];
        assert_eq!(fitting(&widths, None), (vec![0, 1, 2, 3, 4], 5));
        assert_eq!(fitting(&widths, Some(44)), (vec![0, 1, 2, 3, 4], 5));
        assert_eq!(fitting(&widths, Some(43)), (vec![0, 1, 2, 4], 3));
        assert_eq!(fitting(&widths, Some(36)), (vec![0, 1, 4], 2));
        assert_eq!(fitting(&widths, Some(1)), (vec![0, 4], 1));
        assert_eq!(fitting(&[50, 50], Some(20)), (vec![0, 1], 2));
    }

    #[test]
    fn a_cell_is_one_line_of_what_can_be_seen_and_not_too_long() {
        assert_eq!(cut("a\nb\u{1b}[1m\u{202e}"), "a\\nb\\u{1b}[1m\\u{202e}");
        assert_eq!(cut(&"温".repeat(30)).width(), LONGEST + 1);
        assert_eq!(cut(&"x".repeat(41)), "x".repeat(40) + "…");
    }
}
