//! Blocks without vector instructions.

use super::block::Block;

/// For processors without vector instructions, and as the oracle; compilers vectorise it where they can.
#[derive(Clone, Copy)]
pub(super) struct Portable([u8; 64]);

impl Block for Portable {
    #[inline(always)]
    fn load(bytes: &[u8; 64]) -> Self {
        Self(*bytes)
    }

    #[inline(always)]
    fn equal(self, byte: u8) -> u64 {
        let bit = |mask, (at, &found): (usize, &u8)| mask | u64::from(found == byte) << at;
        self.0.iter().enumerate().fold(0, bit)
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Self(std::array::from_fn(|at| self.0[at] | other.0[at]))
    }

    #[inline(always)]
    fn has_high_bit(self) -> bool {
        !self.0.is_ascii()
    }
}
