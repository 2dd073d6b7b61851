//! Some rows of a list of values: those that a filter keeps, or those that are asked for.

use super::Mask;

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

/// The same for bits.
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
