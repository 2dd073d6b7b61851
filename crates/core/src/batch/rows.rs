//! Selects rows of a list of values, by filter or index.

use super::{Buffer, Mask};

/// Keeps the values whose bit in `keep` is set; of values that others have too, copies of those.
pub(super) fn compact_buffer<T: Copy>(values: &mut Buffer<T>, keep: &Mask) {
    if values.is_own() {
        return compact(values.to_mut(), keep);
    }
    let mut kept = Vec::with_capacity(keep.count());
    keep.runs().for_each(|run| kept.extend_from_slice(&values[run]));
    *values = kept.into();
}

/// Keeps the values whose bit in `keep` is set.
pub(super) fn compact<T: Copy>(values: &mut Vec<T>, keep: &Mask) {
    let mut kept = 0;
    for run in keep.runs() {
        let len = run.len();
        if run.start != kept {
            values.copy_within(run, kept);
        }
        kept += len;
    }
    values.truncate(kept);
}

/// The same for a mask.
pub(super) fn compact_bits(bits: &mut Mask, keep: &Mask) {
    *bits = if bits.is_all_set() {
        Mask::filled(keep.count(), true)
    } else {
        keep.ones().map(|row| bits.get(row)).collect()
    };
}

/// The values at `rows`.
pub(super) fn gather<T: Copy>(values: &[T], rows: &[u32]) -> Vec<T> {
    rows.iter().map(|&row| values[row as usize]).collect()
}

/// The bits at `rows`.
pub(super) fn gather_bits(bits: &Mask, rows: &[u32]) -> Mask {
    if bits.is_all_set() {
        return Mask::filled(rows.len(), true);
    }
    rows.iter().map(|&row| bits.get(row as usize)).collect()
}
