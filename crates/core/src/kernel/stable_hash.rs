//! A hash that is the same on every platform and in every release: what is divided by it in one process is divided alike in all others.

/// 64-bit FNV-1a (Fowler, Noll and Vo), then the finaliser of MurmurHash3 (Appleby), so that every bit of it depends on every byte.
pub fn stable_hash(bytes: &[u8]) -> u64 {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let fnv = bytes.iter().fold(BASIS, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Worked out by another program: saved states are divided by these.
    #[test]
    fn it_never_changes() {
        let hashes = ["", "a", "temp-1", "Ω"].map(|name| stable_hash(name.as_bytes()));
        assert_eq!(
            hashes,
            [0xefd0_1f60_ba99_2926, 0x82a2_a958_a9be_ce5b, 0xe445_0259_4fec_ffe9, 0x360a_01dd_25bd_ae2d]
        );
    }

    #[test]
    fn names_that_are_alike_are_divided_evenly() {
        for groups in [2, 3, 16] {
            let mut counts = vec![0_usize; groups];
            for at in 0..16_000 {
                let hash = stable_hash(format!("plant/{at:05}/{at:05}").as_bytes());
                counts[(hash % groups as u64) as usize] += 1;
            }
            let even = 16_000 / groups;
            assert!(counts.iter().all(|count| count.abs_diff(even) < even / 5), "{counts:?}");
        }
    }
}
