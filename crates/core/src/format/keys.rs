//! Lookup of names in self-describing records.

/// The index of `name` in `names`; `order` is its index in the record, mostly the same.
#[inline]
pub(super) fn place_of<N: AsRef<[u8]>>(names: &[N], name: impl AsRef<[u8]>, order: usize) -> Option<usize> {
    let is_it = |known: &N| known.as_ref() == name.as_ref();
    match names.get(order) {
        Some(known) if is_it(known) => Some(order),
        _ => names.iter().position(is_it),
    }
}

/// The length of the UTF-8 byte order mark at the start of `bytes`; 0 if there is none.
pub(super) fn byte_order_mark(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 }
}
