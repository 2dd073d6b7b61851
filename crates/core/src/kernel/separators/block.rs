//! A block of 64 bytes, the unit of a scan.

/// A block of 64 bytes.
pub(super) trait Block: Copy {
    fn load(bytes: &[u8; 64]) -> Self;

    /// One bit per byte: whether it equals `byte`.
    fn equal(self, byte: u8) -> u64;

    /// The union of the bits of both.
    fn or(self, other: Self) -> Self;

    /// Whether a byte has its highest bit set.
    fn has_high_bit(self) -> bool;

    /// Appends the positions of the set bits of `mask`, each plus `base`.
    #[inline(always)]
    fn push(mask: u64, base: u32, places: &mut Vec<u32>) {
        push(mask, base, places);
    }
}

/// Appends the positions of the set bits, four at a time: most blocks have few, and a branch for each costs more than writing some in vain.
#[inline(always)]
fn push(mut mask: u64, base: u32, places: &mut Vec<u32>) {
    let (count, start) = (mask.count_ones() as usize, places.len());
    let mut written = 0;
    while written < count {
        let mut four = [0; 4];
        for place in &mut four {
            *place = base.wrapping_add(mask.trailing_zeros());
            mask &= mask.wrapping_sub(1);
        }
        places.extend_from_slice(&four);
        written += 4;
    }
    places.truncate(start + count);
}
