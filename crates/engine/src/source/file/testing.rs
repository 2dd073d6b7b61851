//! Shared by the tests of compressed files.

use std::io::Write;

use super::packing::Packing;

/// `text`, compressed as one part.
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
            // As the command-line tool does it: linked blocks, checksums.
            let info = lz4_flex::frame::FrameInfo::new().content_checksum(true).block_checksums(true);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(text).map(|()| encoder.finish().expect("packed"))
        }
    };
    packed.expect("packed")
}
