//! The tags and fields of the first records, from which the columns are determined.

use indexmap::IndexMap;

use super::line::parse;
use super::reference::{is_no_record, line_at};
use crate::batch::{FieldType, Number};
use crate::error::{Error, Result};
use crate::format::columns::{Columns, SAMPLE};
use crate::format::keys::byte_order_mark;
use crate::format::{Head, MAX_FIELDS};

/// A tag or field in the first records.
#[derive(Default)]
pub(super) struct SampledKey {
    numbers: usize,
    others: usize,
    /// The type of its values: f64 if there are several types.
    pub(super) ty: Option<FieldType>,
}

impl SampledKey {
    pub(super) fn is_number(&self) -> bool {
        self.numbers > 0 && self.others == 0
    }

    /// Records the type of a value.
    fn note(&mut self, ty: Option<FieldType>) {
        let known = self.ty.or(ty);
        self.ty = if ty.is_some() && ty != known { Some(FieldType::F64) } else { known };
    }
}

/// The tags and fields of the first records, in order of occurrence.
#[derive(Default)]
pub(super) struct KeySample {
    records: usize,
    pub(super) keys: IndexMap<String, SampledKey>,
}

impl KeySample {
    /// Whether the head has enough: `records`, at most [`SAMPLE`], or all keys that are `sought`; or twice as many lines, so that many are
    /// invalid.
    pub(super) fn has(
        head: Head<'_>,
        records: usize,
        columns: &Columns,
        sought: &Option<Vec<String>>,
    ) -> bool {
        let lines = lines(head).filter(|line| !is_no_record(line)).take(2 * records).count();
        let may_be = lines >= records || lines > 0 && sought.is_some();
        let is_enough = |sample: Self| sample.records >= records || sample.has_all(sought);
        lines == 2 * records || may_be && Self::of(head, columns, sought).map_or(true, is_enough)
    }

    /// Samples the first records of a head, up to the one that completes the keys that are `sought`.
    pub(super) fn of(head: Head<'_>, columns: &Columns, sought: &Option<Vec<String>>) -> Result<Self> {
        let mut sample = Self::default();
        for line in lines(head).filter(|line| !is_no_record(line)) {
            if sample.records == SAMPLE || sample.has_all(sought) {
                break;
            }
            sample.records += usize::from(sample.add(line, columns));
            if sample.keys.len() > MAX_FIELDS {
                let what = format!(
                    "the records of `{}` have more than {MAX_FIELDS} different tags and fields",
                    head.name
                );
                return Err(Error::data(what).with_help("list the `measurements` and `texts` to read"));
            }
        }
        Ok(sample)
    }

    /// Whether the keys `sought` are known and have all been seen.
    fn has_all(&self, sought: &Option<Vec<String>>) -> bool {
        let is_seen = |name| self.keys.contains_key(name);
        self.records > 0 && sought.as_ref().is_some_and(|sought| sought.iter().all(is_seen))
    }

    /// Adds a line; returns whether it is a record.
    fn add(&mut self, line: &[u8], columns: &Columns) -> bool {
        let Ok(line) = parse(line) else { return false };
        line.tags.iter().for_each(|(key, _)| self.key_mut(&key.content).others += 1);
        for (key, value) in &line.fields {
            let shown = match value.number {
                Some(_) => Some(true),
                None => columns.word_shows_number(&value.text.content),
            };
            let ty = value.number.or_else(|| value.boolean()).map(Number::ty);
            let key = self.key_mut(&key.content);
            key.note(ty.or(shown.map(|_| FieldType::F64)));
            match shown {
                Some(true) => key.numbers += 1,
                Some(false) => key.others += 1,
                None => {}
            }
        }
        true
    }

    /// A key that is not UTF-8 cannot be a column: its records will be rejected.
    fn key_mut(&mut self, key: &[u8]) -> &mut SampledKey {
        self.keys.entry(String::from_utf8_lossy(key).into_owned()).or_default()
    }

    pub(super) fn key(&self, name: &str) -> Option<&SampledKey> {
        self.keys.get(name)
    }
}

/// The complete lines of a head.
fn lines(head: Head<'_>) -> impl Iterator<Item = &[u8]> {
    let mut at = byte_order_mark(head.bytes);
    std::iter::from_fn(move || {
        let (end, next) = line_at(head.bytes, at);
        let is_whole = next > at && (head.is_whole || head.bytes[..next].ends_with(b"\n"));
        let line = &head.bytes[at..end];
        at = next;
        is_whole.then_some(line)
    })
}
