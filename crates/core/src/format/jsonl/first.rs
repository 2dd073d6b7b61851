//! The first records of a file, in any layout.

use super::object::{FieldEntry, elements, line};
use super::objects::Objects;
use super::reference::fields;
use super::sample::FieldSample;
use super::structure::{Next, next};
use super::unfolded::Swap;
use crate::format::MAX_FIELDS;
use crate::format::columns::SAMPLE;

/// The beginning of a file, after its byte order mark.
#[derive(Clone, Copy)]
pub(super) struct JsonBeginning<'t> {
    pub(super) bytes: &'t [u8],
    pub(super) is_whole: bool,
    /// Whether objects are delimited by their structure, not by lines.
    pub(super) is_values: bool,
}

impl<'t> JsonBeginning<'t> {
    /// Whether it has enough: `records`, at most [`SAMPLE`], or all fields that are `sought`; or twice as many values or lines, so that
    /// many are invalid.
    pub(super) fn has(self, records: usize, objects: &Objects, sought: Option<&[String]>) -> bool {
        let (mut at, mut count) = (0, 0);
        while count < 2 * records
            && let Some((text, next)) = self.value(at)
        {
            (at, count) = (next, count + usize::from(!text.trim_ascii().is_empty()));
        }
        let may_be = count >= records || count > 0 && sought.is_some();
        let is_enough = |sample: FieldSample<'_>| sample.len() >= records || sample.has_all(sought);
        count >= 2 * records || may_be && is_enough(self.sample(objects, sought))
    }

    /// Samples its first records, up to the one that completes the fields that are `sought`; invalid ones are skipped.
    pub(super) fn sample(self, objects: &Objects, sought: Option<&[String]>) -> FieldSample<'t> {
        let mut sample = FieldSample::default();
        let mut at = 0;
        while sample.len() < SAMPLE && sample.names.len() <= MAX_FIELDS && !sample.has_all(sought) {
            let Some((text, next)) = self.value(at) else { break };
            let array = text.trim_ascii_start().starts_with(b"[");
            let texts = if array { elements(text).unwrap_or_default() } else { Vec::new() };
            let texts = texts.iter().map(|element| element.get().as_bytes()).chain((!array).then_some(text));
            for fields in texts.filter_map(|text| fields(text).ok()) {
                add(&fields, text.len(), objects, &mut sample);
            }
            at = next;
        }
        sample.without_null_objects(|name| objects.paths.has(name))
    }

    /// The value or line at `at`, and the position after it.
    pub(super) fn value(self, at: usize) -> Option<(&'t [u8], usize)> {
        if self.is_values {
            return match next(self.bytes, at) {
                Next::Piece(start, end) => Some((&self.bytes[start..end], end)),
                _ => None,
            };
        }
        let (end, next) = line(self.bytes, at.min(self.bytes.len()));
        (at < self.bytes.len() && (end < next || self.is_whole)).then(|| (&self.bytes[at..end], next))
    }

    /// The incomplete text after the last value or line, which ends at `at`.
    pub(super) fn cut(self, at: usize) -> Option<&'t [u8]> {
        match next(self.bytes, at) {
            Next::Open(start) if self.is_values => Some(&self.bytes[start..]),
            _ if self.is_values => None,
            _ => Some(&self.bytes[at..]).filter(|rest| !rest.trim_ascii().is_empty()),
        }
    }
}

/// Adds the records of an object of `length` bytes, up to the size of the sample.
fn add<'t>(fields: &[FieldEntry<'t>], length: usize, objects: &Objects, sample: &mut FieldSample<'t>) {
    let Some(path) = &objects.unfold else { return add_one(fields, None, objects, sample) };
    let Ok(unfolded) = objects.unfolded(path, fields, length) else { return };
    for swap in unfolded.swaps() {
        if sample.len() == SAMPLE {
            return;
        }
        add_one(fields, Some(swap), objects, sample);
    }
}

fn add_one<'t>(
    fields: &[FieldEntry<'t>],
    swap: Option<Swap<'_, 't>>,
    objects: &Objects,
    sample: &mut FieldSample<'t>,
) {
    let mut record = Vec::new();
    let taken = objects.paths.each(fields, swap, &mut |name, depth, value| {
        record.push((name.to_owned(), depth, value));
        Ok(())
    });
    if taken.is_ok() && record.len() <= MAX_FIELDS && sample.len() < SAMPLE {
        sample.add(record);
    }
}
