//! Names that stand beside each value, as formats have them whose records say what is in them.

/// Which of `names` is `name`, which is the `order`th of its record: mostly the one at that place.
#[inline]
pub(super) fn place_of<N: AsRef<[u8]>>(names: &[N], name: impl AsRef<[u8]>, order: usize) -> Option<usize> {
    let is_it = |known: &N| known.as_ref() == name.as_ref();
    match names.get(order) {
        Some(known) if is_it(known) => Some(order),
        _ => names.iter().position(is_it),
    }
}

/// How long the byte order mark of UTF-8 is at the beginning of `bytes`; 0 where there is none.
pub(super) fn byte_order_mark(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 }
}
