//! Which vector instructions the processor has.

/// Whether it has those of AVX-512 for integers of 8 to 64 bits and for floats: F, DQ, BW and VL.
#[inline]
pub(crate) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
}
