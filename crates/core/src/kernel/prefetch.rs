//! Hints to the memory.

#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "the instruction has no safe form; it reads nothing and fails at no address"
    )
)]

/// What the memory hands over at once, in bytes.
const LINE: usize = 64;

/// Asks for `values` to be brought near, without waiting for them: worth it where they will be used a few hundred
/// instructions later and are in no cache. A hint, that changes nothing but the time.
#[inline]
pub fn prefetch<T>(values: &[T]) {
    let Some(last) = values.last() else { return };
    let first: *const u8 = values.as_ptr().cast();
    let mut at = 0;
    while at < size_of_val(values) {
        fetch(first.wrapping_add(at));
        at += LINE;
    }
    // What does not begin with a line ends in one more.
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
