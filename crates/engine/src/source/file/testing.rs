//! What the tests of several kinds of input have in common.

use std::io::Write;
use std::sync::Arc;

use serde_json::json;

use super::framing::Layout;
use super::packing::Packing;
use crate::format::csv::Csv;
use crate::format::encoding::{Encoded, EncodingOptions};
use crate::format::{Format, Head};

/// Streams of records with the columns t, s and v, laid out as `dialect` says.
pub(super) fn layout(dialect: serde_json::Value) -> Layout {
    layout_in("utf-8", dialect)
}

/// The same in another encoding.
pub(super) fn layout_in(encoding: &str, dialect: serde_json::Value) -> Layout {
    let columns = json!({ "time": "t", "sensor": "s", "measurements": ["v"] });
    let columns = serde_json::from_value(columns).expect("columns");
    let format = Csv::new(&serde_json::from_value(dialect).expect("a dialect"), &columns).expect("a format");
    let options = EncodingOptions { encoding: Some(encoding.into()) };
    let format = format.with_origins(true);
    let head = Head { name: "x", stem: "x", bytes: b"t,s,v\n", is_whole: true };
    let schema = Arc::new(format.schema(head).expect("columns"));
    let format = Encoded::new(format, &options).expect("an encoding");
    Layout { format: Arc::new(format), schema, chunk_size: 1 << 20 }
}

/// The same without a header.
pub(super) fn plain() -> Layout {
    layout(json!({ "header": false, "names": ["t", "s", "v"] }))
}

/// `text`, packed in one part.
pub(super) fn packed(packing: Packing, text: &[u8]) -> Vec<u8> {
    let packed = match packing {
        Packing::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).and_then(|()| encoder.finish())
        }
        Packing::Zstd => {
            let encoder = zstd::stream::Encoder::new(Vec::new(), 1);
            encoder.and_then(|mut encoder| {
                encoder.include_checksum(true)?;
                encoder.write_all(text)?;
                encoder.finish()
            })
        }
        Packing::Xz => lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0))
            .and_then(|mut writer| writer.write_all(text).and_then(|()| writer.finish())),
        Packing::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(text).and_then(|()| encoder.finish())
        }
        Packing::Lz4 => {
            // As the command does it: blocks that lean on one another, checksums.
            let info = lz4_flex::frame::FrameInfo::new().content_checksum(true).block_checksums(true);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(text).map(|()| encoder.finish().expect("packed"))
        }
    };
    packed.expect("packed")
}
