//! Packs text in all ways that a source unpacks.

use std::io::Write;

pub(crate) fn gz(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("packed");
    encoder.finish().expect("packed")
}

pub(crate) fn zst(text: &[u8], has_checksum: bool) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
    encoder.include_checksum(has_checksum).expect("an option");
    encoder.write_all(text).expect("packed");
    encoder.finish().expect("packed")
}

pub(crate) fn xz(text: &[u8]) -> Vec<u8> {
    let options = lzma_rust2::XzOptions::with_preset(0);
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).expect("an encoder");
    encoder.write_all(text).expect("packed");
    encoder.finish().expect("packed")
}

pub(crate) fn bz2(text: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(text).expect("packed");
    encoder.finish().expect("packed")
}

/// As the command does it, with checksums.
pub(crate) fn lz4(text: &[u8]) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new().content_checksum(true).block_checksums(true);
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(text).expect("packed");
    encoder.finish().expect("packed")
}

/// An archive with these files, deflated.
pub(crate) fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = rawzip::ZipArchiveWriter::new(Vec::new());
    for (name, text) in files {
        let path = rawzip::path::EntryPath::verbatim(name.as_bytes());
        let method = rawzip::CompressionMethod::DEFLATE;
        let (mut entry, _) = archive.new_file(path).compression_method(method).start().expect("begun");
        let mut encoder = flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::fast());
        encoder.write_all(text).expect("packed");
        encoder.finish().expect("packed");
        let descriptor = rawzip::DataDescriptorOutput::new(rawzip::crc32(text), text.len() as u64);
        entry.finish(descriptor).expect("ended");
    }
    archive.finish().expect("written")
}
