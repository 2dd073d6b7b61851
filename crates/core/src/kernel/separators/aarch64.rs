//! Blocks of NEON, which every 64-bit Arm processor has.

#![expect(unsafe_code, reason = "vector instructions are called here and nowhere else")]

use std::arch::aarch64::*;

use super::block::Block;

/// Four vectors of 16 bytes.
#[derive(Clone, Copy)]
pub(super) struct Neon([uint8x16_t; 4]);

impl Block for Neon {
    #[inline(always)]
    fn load(bytes: &[u8; 64]) -> Self {
        let (quarters, _) = bytes.as_chunks::<16>();
        // SAFETY: each load is of the 16 bytes that the pointer is to, and need not be aligned.
        Self(std::array::from_fn(|at| unsafe { vld1q_u8(quarters[at].as_ptr()) }))
    }

    /// Each matching byte keeps a distinct bit; neighbours are added until eight bytes are one.
    #[inline(always)]
    fn equal(self, byte: u8) -> u64 {
        static BITS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];
        // SAFETY: the load is of the 16 bytes of the table; the other instructions touch no memory, and are always there.
        unsafe {
            let (bits, byte) = (vld1q_u8(BITS.as_ptr()), vdupq_n_u8(byte));
            let [a, b, c, d] = self.0.map(|quarter| vandq_u8(vceqq_u8(quarter, byte), bits));
            let eighths = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
            vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(eighths, eighths)))
        }
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: the instruction touches no memory, and is always there.
        Self(std::array::from_fn(|at| unsafe { vorrq_u8(self.0[at], other.0[at]) }))
    }

    #[inline(always)]
    fn has_high_bit(self) -> bool {
        let [a, b, c, d] = self.0;
        // SAFETY: the instructions touch no memory, and are always there.
        unsafe { vmaxvq_u8(vorrq_u8(vorrq_u8(a, b), vorrq_u8(c, d))) >= 0x80 }
    }
}
