//! The first records of an input: the names of their fields, and their values.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::object::field;
use super::reference::measured;
use crate::format::columns::Columns;
use crate::format::keys::place_of;

/// One record: by name, the nesting depth and value of its field.
type SampledValues<'t> = Vec<Option<(usize, &'t RawValue)>>;

/// The sampled records.
#[derive(Default)]
pub(super) struct FieldSample<'t> {
    pub(super) names: Vec<String>,
    records: Vec<SampledValues<'t>>,
}

impl<'t> FieldSample<'t> {
    /// The number of records.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether the fields `sought` are known and have all been seen.
    pub(super) fn has_all(&self, sought: Option<&[String]>) -> bool {
        let is_seen = |name| self.names.contains(name);
        !self.records.is_empty() && sought.is_some_and(|sought| sought.iter().all(is_seen))
    }

    /// Adds a record with these fields: name, depth and value.
    pub(super) fn add(&mut self, fields: Vec<(String, usize, &'t RawValue)>) {
        let mut record: SampledValues<'t> = Vec::new();
        for (order, (name, depth, value)) in fields.into_iter().enumerate() {
            let at = place_of(&self.names, &name, order).unwrap_or_else(|| {
                self.names.push(name);
                self.names.len() - 1
            });
            if record.len() <= at {
                record.resize(at + 1, None);
            }
            match record[at] {
                Some((known, _)) if known < depth => {}
                _ => record[at] = Some((depth, value)),
            }
        }
        self.records.push(record);
    }

    /// Removes names that are null where other records have objects, unless one `is_asked` for.
    pub(super) fn without_null_objects(mut self, is_asked: impl Fn(&str) -> bool) -> Self {
        let has_parts = |name: &str| {
            let is_part = |other: &String| other.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
            self.names.iter().any(is_part)
        };
        let is_null = |at: usize| {
            let mut values = self.records.iter().filter_map(|record| record.get(at).copied().flatten());
            values.all(|(_, value)| value.get() == "null")
        };
        let is_kept = |(at, name): (usize, &String)| is_asked(name) || !is_null(at) || !has_parts(name);
        let kept: Vec<bool> = self.names.iter().enumerate().map(is_kept).collect();
        retain(&mut self.names, &kept);
        self.records.iter_mut().for_each(|record| retain(record, &kept));
        self
    }

    /// The texts of the fields; empty for null and missing ones.
    pub(super) fn texts(&self, columns: &Columns) -> Vec<Vec<Cow<'t, [u8]>>> {
        let said = |value: &Option<(usize, &'t RawValue)>| value.map(|(_, value)| (value, field(value)));
        let text = |value| match said(value) {
            Some((value, Ok(Some(Cow::Borrowed(text))))) => measured(Some(value), text.as_bytes(), columns),
            Some((_, Ok(Some(Cow::Owned(text))))) => Cow::Owned(text.into_bytes()),
            _ => Cow::Borrowed(&b""[..]),
        };
        self.records.iter().map(|record| record.iter().map(text).collect()).collect()
    }
}

fn retain<T>(items: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    items.retain(|_| kept.next().copied().unwrap_or(true));
}
