//! `console`: a table that people can read.

use std::io::Write;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Outset, Repeat, Sink, SinkSpec};
use crate::atomic::AtomicFile;
use crate::batch::{Batch, Column, FieldKind, Schema};
use crate::error::Result;
use crate::format::text::{write_float, write_time};
use crate::registry::{Component, parameters_of};
use crate::sensor::Sensors;

/// A table on standard output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Console {
    /// How many records are shown; all if not given. The others are counted.
    pub limit: Option<u64>,
    /// Digits behind the decimal point; as many as needed if not given.
    pub decimals: Option<u8>,
}

inventory::submit! { Component::sink::<Console>("console", "a table on standard output, for people") }

impl Console {
    /// A table of the first `limit` records.
    pub fn limit(limit: u64) -> Self {
        Self { limit: Some(limit), decimals: None }
    }
}

impl SinkSpec for Console {
    fn name(&self) -> &str {
        "console"
    }

    fn parameters(&self) -> serde_json::Value {
        parameters_of(self)
    }

    fn repeat(&self) -> Repeat {
        Repeat::Duplicates
    }

    fn is_stdout(&self) -> bool {
        true
    }

    fn open(&self, schema: &Arc<Schema>, _outset: &Outset) -> Result<Box<dyn Sink>> {
        let widths = schema.fields().iter().map(|field| field.name.chars().count()).collect();
        Ok(Box::new(Table {
            options: self.clone(),
            schema: Arc::clone(schema),
            output: AtomicFile::create("-")?,
            widths,
            pending: Vec::new(),
            has_header: false,
            records: 0,
        }))
    }
}

/// Records that decide how wide the columns are.
const MEASURED: usize = 1000;
/// Longer texts are cut.
const LONGEST: usize = 40;

struct Table {
    options: Console,
    schema: Arc<Schema>,
    output: AtomicFile,
    widths: Vec<usize>,
    /// Lines that wait for the widths.
    pending: Vec<Vec<String>>,
    has_header: bool,
    records: u64,
}

impl Table {
    fn cell(&self, batch: &Batch, column: &Column, row: usize, sensors: &Sensors) -> String {
        let mut out = Vec::new();
        match column {
            Column::Time(times) => write_time(batch, times, row, &mut out),
            Column::Sensor(ids) => out.extend_from_slice(sensors.name(ids[row]).as_bytes()),
            Column::Measurement(measurement) => {
                if let Some(value) = measurement.get(row) {
                    write_float(value, self.options.decimals, &mut out);
                }
            }
            Column::Flag(bits) => out.extend_from_slice(if bits.get(row) { b"true" } else { b"false" }),
            Column::Count(counts) => {
                out.extend_from_slice(itoa::Buffer::new().format(counts[row]).as_bytes())
            }
            Column::Text(spans) => out.extend_from_slice(batch.text.get(spans[row]).unwrap_or_default()),
        }
        shown(&String::from_utf8_lossy(&out))
    }

    fn line(&self, cells: &[String]) -> String {
        let mut line = String::new();
        for ((cell, &width), field) in cells.iter().zip(&self.widths).zip(self.schema.fields()) {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            let is_number = matches!(field.kind, FieldKind::Measurement | FieldKind::Count);
            let (before, after) = if is_number { (&*padding, "") } else { ("", &*padding) };
            line += &format!("{before}{cell}{after}  ");
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }

    /// Writes what has been waiting, under the header.
    fn settle(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        for cells in &pending {
            for (width, cell) in self.widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        if !self.has_header {
            self.has_header = true;
            let names: Vec<String> =
                self.schema.fields().iter().map(|field| field.name.to_string()).collect();
            let rule: Vec<String> = self.widths.iter().map(|&width| "─".repeat(width)).collect();
            self.print(&(self.line(&names) + &self.line(&rule)))?;
        }
        let lines: String = pending.iter().map(|cells| self.line(cells)).collect();
        self.print(&lines)
    }

    fn print(&mut self, text: &str) -> Result<()> {
        self.output.write_all(text.as_bytes()).map_err(|error| self.output.failed(&error))
    }
}

/// On one line, without control characters, and not too long.
fn shown(text: &str) -> String {
    let mut letters = text.chars().map(|letter| if letter.is_control() { '·' } else { letter });
    let mut short: String = letters.by_ref().take(LONGEST).collect();
    if letters.next().is_some() {
        short.push('…');
    }
    short
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
        let hidden = self.options.limit.map_or(0, |limit| self.records.saturating_sub(limit));
        if hidden > 0 {
            self.print(&format!("… and {hidden} more\n"))?;
        }
        self.output.finish()
    }
}
