//! Memory that columns and arrays share: each refers to the memory of the other and keeps it alive.

use arrow_buffer::{ArrowNativeType, BooleanBuffer, Buffer as ArrowBuffer, ScalarBuffer};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::batch::{Buffer, Bytes, Mask};
use crate::time::Timestamp;

/// The memory of a column as that of an array; a copy unless it is shared ([`Batch::share`](crate::batch::Batch::share)).
pub(super) fn lent<T>(values: &Buffer<T>) -> ArrowBuffer
where
    T: IntoBytes + Immutable + Clone + Send + Sync + 'static,
{
    bytes::Bytes::from_owner(AsBytes(values.clone())).into()
}

/// The bits of a mask as those of an array.
pub(super) fn lent_bits(mask: &Mask) -> BooleanBuffer {
    BooleanBuffer::new(lent(mask.words()), 0, mask.len())
}

/// The memory of an array as that of a column.
pub(super) fn borrowed<T: ArrowNativeType>(values: &ScalarBuffer<T>) -> Buffer<T> {
    Buffer::from_owner(values.clone())
}

/// The memory of an array of nanoseconds since 1970-01-01 UTC.
pub(super) fn borrowed_times(values: &ScalarBuffer<i64>) -> Buffer<Timestamp> {
    Buffer::from_owner(Times(values.clone()))
}

/// Bits of an array as a mask. They are copied unless they begin at an aligned word, the last word is complete in the buffer, and the bits behind the end
/// are 0.
pub(super) fn borrowed_bits(bits: &BooleanBuffer) -> Mask {
    let (bytes, start, words) = (bits.inner(), bits.offset() / 8, bits.len().div_ceil(64));
    let is_at_word =
        bits.offset().is_multiple_of(8) && (bytes.as_ptr().addr() + start).is_multiple_of(size_of::<u64>());
    match is_at_word && start + size_of::<u64>() * words <= bytes.len() {
        true => {
            let words = ScalarBuffer::<u64>::from(bytes.slice_with_length(start, size_of::<u64>() * words));
            Mask::from_words(borrowed(&words), bits.len())
        }
        false => Mask::from_words(bits.bit_chunks().iter_padded().collect::<Vec<_>>(), bits.len()),
    }
}

/// The bytes of a text array.
pub(super) fn bytes_of(bytes: ArrowBuffer) -> Bytes {
    Bytes::new(Owner(bytes))
}

/// Owns the bytes of an array.
struct Owner(ArrowBuffer);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Values as their bytes.
struct AsBytes<T>(Buffer<T>);

impl<T: IntoBytes + Immutable> AsRef<[u8]> for AsBytes<T> {
    fn as_ref(&self) -> &[u8] {
        <[T]>::as_bytes(&self.0)
    }
}

/// Counts of nanoseconds as times.
struct Times(ScalarBuffer<i64>);

impl AsRef<[Timestamp]> for Times {
    fn as_ref(&self) -> &[Timestamp] {
        // A time is laid out as an integer is, so this never fails.
        <[Timestamp]>::ref_from_bytes(<[i64]>::as_bytes(&self.0)).unwrap_or_default()
    }
}
