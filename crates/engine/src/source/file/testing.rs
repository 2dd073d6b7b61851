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

/// `text` as a member of BGZF, at most 64 KiB of it.
pub(super) fn bgzf(text: &[u8]) -> Vec<u8> {
    /// The header of RFC 1952 with an extra field of 6 bytes; its last two are the length of the member, less one.
    const HEADER: [u8; 18] = *b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0\0\0";
    let mut encoder = flate2::write::DeflateEncoder::new(HEADER.to_vec(), flate2::Compression::fast());
    let mut member = encoder.write_all(text).and_then(|()| encoder.finish()).expect("packed");
    let mut crc = flate2::Crc::new();
    crc.update(text);
    member.extend([crc.sum(), text.len() as u32].map(u32::to_le_bytes).concat());
    let length = u16::try_from(member.len() - 1).expect("a small member");
    member[16..18].copy_from_slice(&length.to_le_bytes());
    member
}
