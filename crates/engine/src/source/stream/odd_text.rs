//! Texts for tests whose characters contain bytes that look like line ends, and the expected result however the text is cut.

use serde_json::json;

use super::StreamLayout;
use super::framing::Framing;
use super::testing::layout_in;
use crate::batch::Bytes;
use crate::format::{Chunk, Decoded, Head, LineFormat};
use crate::offset::Offset;
use crate::sensor::Sensors;
use crate::source::Input;

/// Names of sensors with such characters in one or the other order of bytes, beside pairs of surrogates; and a record that is none.
const TEXT: &str =
    "T,\u{a0a},1\r\nT,\u{a00}\u{d0d},2\n\nT,\u{d00}\u{10a0d},3\nnone\nT,\u{1040a}x,4\r\nT,\u{200a},5\n";

/// The text in one encoding.
pub(in crate::source) struct Written {
    pub(in crate::source) layout: StreamLayout,
    /// With a byte order mark, if it has one.
    pub(in crate::source) bytes: Vec<u8>,
    pub(in crate::source) lines: LineFormat,
    /// The bytes of the mark.
    pub(in crate::source) mark: usize,
}

/// The line and offset of something, and its sensor or the reason for its rejection.
pub(in crate::source) type Placed = (u64, u64, String);

/// Records and rejections received, each in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::source) struct Came {
    pub(in crate::source) records: Vec<Placed>,
    pub(in crate::source) aside: Vec<Placed>,
}

/// The text in UTF-16 of both byte orders, with and without a mark, and in UTF-8.
pub(in crate::source) fn in_all_encodings() -> Vec<Written> {
    [("utf-16le", false), ("utf-16be", false), ("utf-16le", true), ("utf-16be", true), ("utf-8", false)]
        .map(|(encoding, is_marked)| Written::new(encoding, is_marked))
        .into()
}

/// A text in an encoding.
pub(in crate::source) fn in_encoding(text: &str, encoding: &str) -> Vec<u8> {
    let text = text.replace('T', "2026-01-01T00:00:00Z");
    match encoding {
        "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        "utf-16be" => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        _ => text.into_bytes(),
    }
}

impl Written {
    fn new(encoding: &str, is_marked: bool) -> Self {
        let mark = if is_marked { in_encoding("\u{feff}", encoding) } else { Vec::new() };
        let bytes = [&*mark, &in_encoding(TEXT, encoding)].concat();
        let columns = json!({ "header": false, "names": ["t", "s", "v"] });
        let layout = layout_in(if is_marked { "utf-8" } else { encoding }, columns);
        let head = Head { name: "x", stem: "x", bytes: &bytes, is_whole: true };
        let lines = layout.format.line_format(head);
        Self { lines, layout, mark: mark.len(), bytes }
    }

    /// Another text in the same encoding, without a mark.
    pub(in crate::source) fn other(&self, text: &str) -> Vec<u8> {
        let encoding = match self.lines.line_feed() {
            b"\n\0" => "utf-16le",
            b"\0\n" => "utf-16be",
            _ => "utf-8",
        };
        in_encoding(text, encoding)
    }

    /// The expected result from a bounded run.
    pub(in crate::source) fn at_rest(&self) -> Came {
        let head = Head { name: "x", stem: "x", bytes: &self.bytes, is_whole: true };
        let bound = self.layout.format.bind(head, &self.layout.schema).expect("bound");
        let mut came = Came::default();
        came.add(Input::Chunk(Chunk {
            sequence: 0,
            file: "x".into(),
            offset: Offset { file: 0, at: bound.skip_bytes as u64, line: 1 },
            bytes: Bytes::new(self.bytes[bound.skip_bytes..].to_vec()),
            decoder: bound.decoder,
            witness: None,
            received: None,
        }));
        assert_eq!((came.records.len(), came.aside.len()), (5, 1), "{came:?}");
        came
    }

    /// The range of the line that contains byte `at`.
    pub(in crate::source) fn line_of(&self, at: usize) -> std::ops::Range<usize> {
        let mut start = self.mark;
        while let Some(length) = self.lines.first_line(&self.bytes[start..], true) {
            if at < start + length {
                return start..start + length;
            }
            start += length;
        }
        start..self.bytes.len()
    }
}

impl Came {
    /// Adds one item.
    pub(in crate::source) fn add(&mut self, input: Input) {
        let mut sensors = Sensors::default();
        let Decoded { batch, rejections, .. } = match input {
            Input::Chunk(chunk) => chunk.decode(&mut sensors).expect("decoded"),
            Input::Records(decoded) => decoded,
            Input::Nothing | Input::Foreseen(_) | Input::Deferred(_) => return,
        };
        for (row, &sensor) in batch.sensors().iter().enumerate() {
            let origin = batch.origins.as_ref().expect("asked for").get(row);
            self.records.push((origin.line, origin.offset, sensors.name(sensor).to_owned()));
        }
        for rejection in rejections {
            self.aside.push((rejection.position.line, rejection.position.offset, rejection.reason));
        }
    }

    /// Adds all complete records.
    pub(in crate::source) fn add_all(&mut self, framing: &mut Framing, layout: &StreamLayout, at_end: bool) {
        while let Some(input) = framing.take(layout, at_end, 0).expect("taken") {
            self.add(input);
        }
    }

    /// The sensors of the records, which can be compared where positions differ.
    pub(in crate::source) fn names(&self) -> Vec<&str> {
        self.records.iter().map(|(_, _, sensor)| sensor.as_str()).collect()
    }
}
