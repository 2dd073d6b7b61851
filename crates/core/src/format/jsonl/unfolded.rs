//! An array whose elements become records: the objects around it are parsed once for all of them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::object::{FieldEntry, parts};
use crate::error::Result;
use crate::format::refusal::Refusal;

/// An object and its fields.
pub(super) type TakenApart<'t> = (&'t RawValue, Vec<FieldEntry<'t>>);

/// An array whose elements become records.
pub(super) struct Unfolded<'t> {
    pub(super) array: &'t RawValue,
    pub(super) elements: Vec<&'t RawValue>,
    /// The objects that contain it, except the record itself.
    pub(super) around: Vec<TakenApart<'t>>,
}

/// The replacement of an array by one of its elements.
#[derive(Clone, Copy)]
pub(super) struct Swap<'u, 't> {
    of: &'u Unfolded<'t>,
    pub(super) element: &'t RawValue,
}

impl<'t> Unfolded<'t> {
    /// The replacement of the array for each record.
    pub(super) fn swaps(&self) -> impl Iterator<Item = Swap<'_, 't>> {
        self.elements.iter().map(|element| Swap { of: self, element })
    }
}

impl<'u, 't> Swap<'u, 't> {
    /// The value, or its replacement.
    pub(super) fn apply(swap: Option<Self>, value: &'t RawValue) -> &'t RawValue {
        swap.filter(|swap| is_same(swap.of.array, value)).map_or(value, |swap| swap.element)
    }

    /// The entries of an object or array. The objects around the array are not parsed again for each element, which would take quadratic
    /// time.
    pub(super) fn parts(
        swap: Option<Self>,
        value: &'t RawValue,
    ) -> Result<Cow<'u, [FieldEntry<'t>]>, Refusal> {
        let around = swap.map_or(&[][..], |swap| &swap.of.around[..]);
        match around.iter().find(|(object, _)| is_same(object, value)) {
            Some((_, fields)) => Ok(Cow::Borrowed(fields)),
            None => parts(value).map(Cow::Owned),
        }
    }
}

/// Whether both are the same position of the same text.
fn is_same(value: &RawValue, other: &RawValue) -> bool {
    std::ptr::eq(value.get(), other.get())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::object::TAKEN_APART;
    use super::super::{JsonLines, JsonOptions};
    use crate::batch::Bytes;
    use crate::format::{Chunk, columns::ColumnOptions};
    use crate::format::{Format, Head};
    use crate::offset::Offset;
    use crate::sensor::{SensorIds, SharedSensors};

    /// The number of bytes that `read` parses.
    fn taken_apart<T>(read: impl FnOnce() -> T) -> (usize, T) {
        let before = TAKEN_APART.get();
        let read = read();
        (TAKEN_APART.get() - before, read)
    }

    #[test]
    fn clause_8_an_array_deep_in_a_record_is_read_a_fixed_number_of_times() {
        const ELEMENTS: usize = 5000;
        let text = format!(
            "{{\"id\":\"s\",\"a\":{{\"b\":{{\"r\":[{{\"v\":0}}{}]}}}}}}\n",
            ",{\"v\":1}".repeat(ELEMENTS - 1)
        );
        let columns = ColumnOptions {
            time: None,
            sensor: Some("id".into()),
            measurements: Some(vec!["a.b.r.v".into()]),
            ..ColumnOptions::default()
        };
        let options = JsonOptions { unfold: Some("a.b.r".into()), ..JsonOptions::default() };
        let format = JsonLines::new(&options, &columns).expect("good options");
        let head = Head { name: "t.jsonl", stem: "t", bytes: text.as_bytes(), is_whole: true };

        let (bytes, schema) = taken_apart(|| Arc::new(format.schema(head).expect("columns")));
        assert!(bytes <= 4 * text.len(), "the columns: {bytes} bytes of {}", text.len());
        let chunk = Chunk {
            sequence: 0,
            file: "t.jsonl".into(),
            offset: Offset { file: 0, at: 0, line: 0 },
            bytes: Bytes::new(text.clone().into_bytes()),
            decoder: format.bind(head, &schema).expect("bound").decoder,
            witness: None,
            received: None,
        };
        let mut sensors = SensorIds::new(Arc::new(SharedSensors::with_limit(10)));
        let (bytes, decoded) = taken_apart(|| chunk.decoder.decode(&chunk, &mut sensors).expect("records"));
        assert_eq!((decoded.batch.len(), decoded.rejections.len()), (ELEMENTS, 0));
        assert!(bytes <= 4 * text.len(), "the records: {bytes} bytes of {}", text.len());
    }
}
