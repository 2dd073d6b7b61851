//! One column of a batch.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{FieldKind, Mask, Span};
use crate::sensor::SensorId;
use crate::time::Timestamp;

/// The values of one field, one a record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Column {
    /// Event times.
    Time(TimeColumn),
    /// Which sensor each record is of.
    Sensor(Vec<SensorId>),
    /// Numbers, some of them missing.
    Measurement(Measurement),
    /// Booleans that a stage added.
    Flag(Mask),
    /// Counts that a stage added.
    Count(Vec<u64>),
    /// Text carried through unchanged.
    Text(Vec<Span>),
}

/// Event times and how they were written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TimeColumn {
    /// The times.
    pub values: Vec<Timestamp>,
    /// The text of each as it came in; empty where there was none, or where a stage changed a time.
    pub text: Vec<Span>,
}

/// Numbers with validity. A value whose bit is clear is missing, whatever the number says.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Measurement {
    /// The numbers; 0 where missing.
    pub values: Vec<f64>,
    /// Set where there is a number (NaN and infinities are numbers here).
    pub valid: Mask,
}

impl Measurement {
    /// The value at `row`, `None` where missing.
    pub fn get(&self, row: usize) -> Option<f64> {
        self.valid.get(row).then(|| self.values[row])
    }

    /// Appends a value.
    pub fn push(&mut self, value: Option<f64>) {
        self.values.push(value.unwrap_or(0.0));
        self.valid.push(value.is_some());
    }

    /// All values in order, `None` where missing.
    pub fn iter(&self) -> impl Iterator<Item = Option<f64>> + '_ {
        self.values.iter().zip(self.valid.iter()).map(|(&value, valid)| valid.then_some(value))
    }
}

impl FromIterator<Option<f64>> for Measurement {
    fn from_iter<I: IntoIterator<Item = Option<f64>>>(values: I) -> Self {
        let mut measurement = Self::default();
        values.into_iter().for_each(|value| measurement.push(value));
        measurement
    }
}

impl Column {
    /// A column of the given kind without values.
    pub fn empty(kind: FieldKind) -> Self {
        match kind {
            FieldKind::Time => Self::Time(TimeColumn::default()),
            FieldKind::Sensor => Self::Sensor(Vec::new()),
            FieldKind::Measurement => Self::Measurement(Measurement::default()),
            FieldKind::Flag => Self::Flag(Mask::default()),
            FieldKind::Count => Self::Count(Vec::new()),
            FieldKind::Text => Self::Text(Vec::new()),
        }
    }

    /// A column of `len` values: all 0, false, valid; text is null.
    pub(crate) fn filled(kind: FieldKind, len: usize) -> Self {
        match kind {
            FieldKind::Time => {
                Self::Time(TimeColumn { values: vec![Timestamp::from_nanos(0); len], text: Vec::new() })
            }
            FieldKind::Sensor => Self::Sensor(vec![SensorId(0); len]),
            FieldKind::Measurement => {
                Self::Measurement(Measurement { values: vec![0.0; len], valid: Mask::filled(len, true) })
            }
            FieldKind::Flag => Self::Flag(Mask::filled(len, false)),
            FieldKind::Count => Self::Count(vec![0; len]),
            FieldKind::Text => Self::Text(vec![Span::NULL; len]),
        }
    }

    /// What the column is.
    pub fn kind(&self) -> FieldKind {
        match self {
            Self::Time(_) => FieldKind::Time,
            Self::Sensor(_) => FieldKind::Sensor,
            Self::Measurement(_) => FieldKind::Measurement,
            Self::Flag(_) => FieldKind::Flag,
            Self::Count(_) => FieldKind::Count,
            Self::Text(_) => FieldKind::Text,
        }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Time(time) => time.values.len(),
            Self::Sensor(ids) => ids.len(),
            Self::Measurement(measurement) => measurement.values.len(),
            Self::Flag(bits) => bits.len(),
            Self::Count(counts) => counts.len(),
            Self::Text(spans) => spans.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes room for `more` values.
    pub(crate) fn reserve(&mut self, more: usize) {
        match self {
            Self::Time(time) => {
                time.values.reserve(more);
                time.text.reserve(more);
            }
            Self::Sensor(ids) => ids.reserve(more),
            Self::Measurement(measurement) => measurement.values.reserve(more),
            Self::Count(counts) => counts.reserve(more),
            Self::Text(spans) => spans.reserve(more),
            Self::Flag(_) => {}
        }
    }

    /// Takes away the values from `at` on.
    pub(crate) fn split_off(&mut self, at: usize) -> Self {
        match self {
            Self::Time(time) => Self::Time(TimeColumn {
                values: time.values.split_off(at),
                text: time.text.split_off(at.min(time.text.len())),
            }),
            Self::Sensor(ids) => Self::Sensor(ids.split_off(at)),
            Self::Measurement(measurement) => Self::Measurement(Measurement {
                values: measurement.values.split_off(at),
                valid: measurement.valid.split_off(at),
            }),
            Self::Flag(bits) => Self::Flag(bits.split_off(at)),
            Self::Count(counts) => Self::Count(counts.split_off(at)),
            Self::Text(spans) => Self::Text(spans.split_off(at)),
        }
    }

    /// Appends the values at `range` of a column of the same kind, whose text is the same batch's.
    pub(crate) fn append_range(&mut self, other: &Self, range: Range<usize>) {
        match (self, other) {
            (Self::Time(time), Self::Time(more)) => {
                time.values.extend_from_slice(&more.values[range.clone()]);
                time.text.extend_from_slice(more.text.get(range).unwrap_or_default());
            }
            (Self::Sensor(ids), Self::Sensor(more)) => ids.extend_from_slice(&more[range]),
            (Self::Measurement(measurement), Self::Measurement(more)) => {
                measurement.values.extend_from_slice(&more.values[range.clone()]);
                measurement.valid.extend(range.map(|row| more.valid.get(row)));
            }
            (Self::Flag(bits), Self::Flag(more)) => bits.extend(range.map(|row| more.get(row))),
            (Self::Count(counts), Self::Count(more)) => counts.extend_from_slice(&more[range]),
            (Self::Text(spans), Self::Text(more)) => spans.extend_from_slice(&more[range]),
            _ => unreachable!("columns of one kind"),
        }
    }

    /// Shortens it to `len` values, if it is longer.
    pub(crate) fn truncate(&mut self, len: usize) {
        match self {
            Self::Time(time) => {
                time.values.truncate(len);
                time.text.truncate(len);
            }
            Self::Sensor(ids) => ids.truncate(len),
            Self::Measurement(measurement) => {
                measurement.values.truncate(len);
                measurement.valid.truncate(len);
            }
            Self::Flag(bits) => bits.truncate(len),
            Self::Count(counts) => counts.truncate(len),
            Self::Text(spans) => spans.truncate(len),
        }
    }

    pub(super) fn retain(&mut self, keep: &Mask) {
        match self {
            Self::Time(time) => {
                compact(&mut time.values, keep);
                if !time.text.is_empty() {
                    compact(&mut time.text, keep);
                }
            }
            Self::Sensor(ids) => compact(ids, keep),
            Self::Measurement(measurement) => {
                compact(&mut measurement.values, keep);
                compact_bits(&mut measurement.valid, keep);
            }
            Self::Flag(bits) => compact_bits(bits, keep),
            Self::Count(counts) => compact(counts, keep),
            Self::Text(spans) => compact(spans, keep),
        }
    }

    pub(super) fn take(&self, rows: &[u32]) -> Self {
        match self {
            Self::Time(time) => {
                let text = if time.text.is_empty() { Vec::new() } else { gather(&time.text, rows) };
                Self::Time(TimeColumn { values: gather(&time.values, rows), text })
            }
            Self::Sensor(ids) => Self::Sensor(gather(ids, rows)),
            Self::Measurement(measurement) => Self::Measurement(Measurement {
                values: gather(&measurement.values, rows),
                valid: gather_bits(&measurement.valid, rows),
            }),
            Self::Flag(bits) => Self::Flag(gather_bits(bits, rows)),
            Self::Count(counts) => Self::Count(gather(counts, rows)),
            Self::Text(spans) => Self::Text(gather(spans, rows)),
        }
    }

    pub(super) fn append(&mut self, other: &Self, carry: &mut impl FnMut(Span) -> Span) {
        match (self, other) {
            (Self::Time(time), Self::Time(more)) => {
                let (before, has_text) = (time.values.len(), !more.text.is_empty());
                time.values.extend(&more.values);
                // Times of a source without text may come before or behind those of one with text.
                if has_text {
                    time.text.resize(before, Span::NULL);
                    time.text.extend(more.text.iter().map(|&span| carry(span)));
                } else if !time.text.is_empty() {
                    time.text.resize(time.values.len(), Span::NULL);
                }
            }
            (Self::Sensor(ids), Self::Sensor(more)) => ids.extend(more),
            (Self::Measurement(measurement), Self::Measurement(more)) => {
                measurement.values.extend(&more.values);
                measurement.valid.extend(more.valid.iter());
            }
            (Self::Flag(bits), Self::Flag(more)) => bits.extend(more.iter()),
            (Self::Count(counts), Self::Count(more)) => counts.extend(more),
            (Self::Text(spans), Self::Text(more)) => spans.extend(more.iter().map(|&span| carry(span))),
            _ => unreachable!("batches of one schema have columns of one kind"),
        }
    }
}

fn compact<T: Copy>(values: &mut Vec<T>, keep: &Mask) {
    let mut kept = 0;
    for run in keep.runs() {
        let len = run.len();
        if run.start != kept {
            values.copy_within(run, kept);
        }
        kept += len;
    }
    values.truncate(kept);
}

fn compact_bits(bits: &mut Mask, keep: &Mask) {
    *bits = if bits.is_all_set() {
        Mask::filled(keep.count(), true)
    } else {
        keep.ones().map(|row| bits.get(row)).collect()
    };
}

fn gather<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
    rows.iter().map(|&row| values[row as usize]).collect()
}

fn gather_bits(bits: &Mask, rows: &[u32]) -> Mask {
    if bits.is_all_set() {
        return Mask::filled(rows.len(), true);
    }
    rows.iter().map(|&row| bits.get(row as usize)).collect()
}
