//! Prefetch hints.

#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "the instruction has no safe form; it reads nothing and fails at no address"
    )
)]

/// The size of a cache line in bytes.
const LINE: usize = 64;

/// Prefetches `values` without waiting: useful if they are accessed a few hundred instructions later and are in no cache. Affects nothing
/// but the time.
#[inline]
pub fn prefetch<T>(values: &[T]) {
    let Some(last) = values.last() else { return };
    let first: *const u8 = values.as_ptr().cast();
    let mut at = 0;
    while at < size_of_val(values) {
        fetch(first.wrapping_add(at));
        at += LINE;
    }
    // Values that are not aligned to a cache line span one more.
    fetch(std::ptr::from_ref(last).cast());
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn fetch(place: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: the instruction reads nothing and fails at no address; every x86-64 has it.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn fetch(_place: *const u8) {}

#[cfg(test)]
mod tests {
    use super::prefetch;

    #[test]
    fn values_of_any_length_may_be_asked_for() {
        let values: Vec<u64> = (0..100).collect();
        (0..=100).for_each(|len| prefetch(&values[..len]));
        prefetch::<[u64; 20]>(&[]);
        assert_eq!(values.iter().sum::<u64>(), 4950);
    }
}
