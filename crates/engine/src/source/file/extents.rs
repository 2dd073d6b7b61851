//! The length of a part of a compressed file, where its headers give it: then the parts need not be decompressed one after another.
//!
//! gzip members have it if they are those of BGZF (SAM specification, 4.1: an extra field with the size of the member), zstd frames always (RFC
//! 8878: every block has its size). Other gzip members end where decompression says.

use super::packing::Packing;

/// Maximum window of a zstd frame, since each thread that decompresses needs one.
const MAX_WINDOW: u64 = 8 << 20;

/// The length of the parts at the start of `bytes` that are complete, as many as have `enough` bytes; 0 if the first one is not complete, or if
/// its length is not known.
pub(super) fn complete_parts(packing: Packing, bytes: &[u8], enough: usize) -> usize {
    let mut at = 0;
    while at < enough
        && let Some(length) = part(packing, &bytes[at..]).filter(|&length| length <= bytes.len() - at)
    {
        at += length;
    }
    at
}

/// The length of the part that begins `bytes`, if it is known.
fn part(packing: Packing, bytes: &[u8]) -> Option<usize> {
    match packing {
        Packing::Gzip => bgzf_member(bytes),
        Packing::Zstd => zstd_frame(bytes),
        Packing::Xz | Packing::Bzip2 | Packing::Lz4 => None,
    }
}

/// The length of a member of BGZF.
fn bgzf_member(bytes: &[u8]) -> Option<usize> {
    /// The flag of an extra field, the only one that BGZF has.
    const EXTRA: u8 = 4;
    let header = bytes.first_chunk::<12>()?;
    if header[..4] != [0x1f, 0x8b, 8, EXTRA] {
        return None;
    }
    let mut fields = bytes[12..].get(..usize::from(u16::from_le_bytes([header[10], header[11]])))?;
    while let Some((&[a, b, low, high], rest)) = fields.split_first_chunk() {
        let (field, others) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
        if let ([b'B', b'C'], &[low, high]) = ([a, b], field) {
            return Some(usize::from(u16::from_le_bytes([low, high])) + 1);
        }
        fields = others;
    }
    None
}

/// The length of a zstd frame and of the skippable frames before it.
fn zstd_frame(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some([0x50..=0x5f, 0x2a, 0x4d, 0x18]) = bytes.get(at..)?.first_chunk() {
        let length = bytes[at + 4..].first_chunk()?;
        at = at.checked_add(8)?.checked_add(u32::from_le_bytes(*length) as usize)?;
    }
    let [0x28, 0xb5, 0x2f, 0xfd, descriptor] = *bytes[at..].first_chunk()? else { return None };
    let is_single_segment = descriptor & 0x20 != 0;
    let content = [usize::from(is_single_segment), 2, 4, 8][usize::from(descriptor >> 6)];
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let window_at = at + 5;
    let content_at = window_at + usize::from(!is_single_segment) + dictionary;
    let window = match is_single_segment {
        true => content_size(bytes.get(content_at..content_at + content)?),
        false => window_size(*bytes.get(window_at)?),
    };
    if window > MAX_WINDOW {
        return None;
    }
    let checksum = if descriptor & 4 != 0 { 4 } else { 0 };
    Some(blocks_end(bytes, content_at + content)? + checksum)
}

/// The window of a frame from its descriptor.
fn window_size(descriptor: u8) -> u64 {
    let base = 1 << (10 + (descriptor >> 3));
    base + base / 8 * u64::from(descriptor & 7)
}

/// The size of a frame's content; a field of two bytes has 256 less.
fn content_size(field: &[u8]) -> u64 {
    let value = field.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
    value + if field.len() == 2 { 256 } else { 0 }
}

/// The position after the blocks of a zstd frame, the first of which is at `at`.
fn blocks_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let &[low, middle, high] = bytes.get(at..)?.first_chunk()?;
        let header = u32::from_le_bytes([low, middle, high, 0]);
        let content = match header >> 1 & 3 {
            0 | 2 => (header >> 3) as usize,
            // One byte, repeated.
            1 => 1,
            _ => return None,
        };
        at += 3 + content;
        if header & 1 == 1 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{bgzf, packed};
    use super::*;

    #[test]
    fn the_parts_of_other_files_have_no_known_length() {
        for packing in [Packing::Gzip, Packing::Xz, Packing::Bzip2, Packing::Lz4] {
            assert_eq!(complete_parts(packing, &packed(packing, b"one\n"), 100), 0, "{packing:?}");
        }
    }

    proptest! {
        #[test]
        fn parts_are_as_long_as_their_headers_say(
            texts in proptest::collection::vec(proptest::collection::vec(0..9u8, 0..400), 1..5), cut in 0..2000usize, is_skipped: bool,
        ) {
            let skipped: &[u8] = if is_skipped { b"\x5e\x2a\x4d\x18\x03\0\0\0abc" } else { b"" };
            let zstd = |text: &[u8]| [skipped, &packed(Packing::Zstd, text)].concat();
            for (packing, pack) in [(Packing::Gzip, &bgzf as &dyn Fn(&[u8]) -> Vec<u8>), (Packing::Zstd, &zstd)] {
                let parts: Vec<Vec<u8>> = texts.iter().map(|text| pack(text)).collect();
                let whole = parts.concat();
                let cut = cut.min(whole.len());
                let ends = parts.iter().scan(0, |end, part| { *end += part.len(); Some(*end) });
                let expected = ends.take_while(|&end| end <= cut).last().unwrap_or(0);
                prop_assert_eq!(complete_parts(packing, &whole[..cut], usize::MAX), expected, "{:?}", packing);
                let first = if expected > 0 { parts[0].len() } else { 0 };
                prop_assert_eq!(complete_parts(packing, &whole[..cut], 1), first, "{:?}", packing);
            }
        }

        #[test]
        fn no_bytes_lead_out_of_them(bytes in proptest::collection::vec(any::<u8>(), 0..60), which in 0..3usize) {
            let starts: [(Packing, &[u8]); 3] =
                [(Packing::Gzip, b"\x1f\x8b\x08\x04"), (Packing::Zstd, b"\x28\xb5\x2f\xfd"), (Packing::Zstd, b"\x50\x2a\x4d\x18")];
            let (packing, start) = starts[which];
            let all = [start, &bytes[..]].concat();
            prop_assert!(complete_parts(packing, &all, usize::MAX) <= all.len());
        }
    }
}
