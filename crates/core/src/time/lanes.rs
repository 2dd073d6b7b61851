//! Times that are written alike, eight side by side without a branch for each, so that compilers generate vector instructions. What is read, and how,
//! is in `near/lanes.rs` and `epoch/lanes.rs`; each says what it must agree with.

#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "instructions that not every processor has are chosen at run time")
)]

use super::Timestamp;

/// The number of texts side by side.
pub(crate) const LANES: usize = 8;

/// One word of each text.
pub(super) type Words = [u64; LANES];

/// Reads times that are alike.
pub(super) trait ReadLanes {
    /// Writes the time of each lane. Returns not 0 for each text that is not alike; its time means nothing.
    fn read_lanes(&self, texts: &Texts, times: &mut [Timestamp; LANES]) -> Words;
}

/// Eight texts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    /// The first sixteen bytes, as two words.
    pub(super) first: [Words; 2],
    /// The last sixteen bytes; they may overlap the first ones.
    pub(super) last: [Words; 2],
    pub(super) lengths: Words,
}

impl Texts {
    /// Puts `text[start..end]` in a lane.
    #[inline(always)]
    pub(crate) fn set(&mut self, lane: usize, text: &[u8], start: usize, end: usize) {
        let first = text.get(start..).and_then(<[u8]>::first_chunk::<16>);
        let last = text.get(..end).and_then(<[u8]>::last_chunk::<16>);
        let lane = lane % LANES;
        let (Some(first), Some(last)) = (first, last) else {
            // No time is empty.
            self.lengths[lane] = 0;
            return;
        };
        let (first, last) = (u128::from_le_bytes(*first), u128::from_le_bytes(*last));
        (self.first[0][lane], self.first[1][lane]) = (first as u64, (first >> 64) as u64);
        (self.last[0][lane], self.last[1][lane]) = (last as u64, (last >> 64) as u64);
        self.lengths[lane] = end.wrapping_sub(start) as u64;
    }

    /// Writes the time of each lane. Returns a bit for each text that is not like the others; its time means nothing.
    #[inline]
    pub(super) fn read_by(&self, reader: &impl ReadLanes, times: &mut [Timestamp; LANES]) -> u8 {
        #[cfg(target_arch = "x86_64")]
        {
            if crate::kernel::vectors::has_avx512() {
                // SAFETY: the processor has all that is needed, as was just asked.
                return unsafe { x86::read_avx512(self, reader, times) };
            }
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has AVX2, as was just asked.
                return unsafe { x86::read_avx2(self, reader, times) };
            }
        }
        self.bits(reader, times)
    }

    #[inline(always)]
    fn bits(&self, reader: &impl ReadLanes, times: &mut [Timestamp; LANES]) -> u8 {
        let others = reader.read_lanes(self, times);
        others.iter().enumerate().fold(0, |bits, (lane, &other)| bits | u8::from(other != 0) << lane)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LANES, ReadLanes, Texts, Timestamp};

    /// Requires [`has_avx512`](crate::kernel::vectors::has_avx512).
    #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
    pub(super) fn read_avx512(texts: &Texts, reader: &impl ReadLanes, times: &mut [Timestamp; LANES]) -> u8 {
        texts.bits(reader, times)
    }

    /// Requires AVX2.
    #[target_feature(enable = "avx2")]
    pub(super) fn read_avx2(texts: &Texts, reader: &impl ReadLanes, times: &mut [Timestamp; LANES]) -> u8 {
        texts.bits(reader, times)
    }
}

/// A way to read the times of all lanes, as [`Texts::read`].
#[cfg(test)]
pub(super) type Read<R> = fn(&Texts, &R, &mut [Timestamp; LANES]) -> u8;

/// All ways that this processor has.
#[cfg(test)]
pub(super) fn ways<R: ReadLanes>() -> Vec<Read<R>> {
    let mut ways: Vec<Read<R>> =
        vec![|texts, reader, times| texts.read_by(reader, times), |texts, reader, times| {
            texts.bits(reader, times)
        }];
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, as was just asked.
        ways.push(|texts, reader, times| unsafe { x86::read_avx2(texts, reader, times) });
    }
    ways
}
