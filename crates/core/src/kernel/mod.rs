//! Pure numeric loops: no state but their own, no I/O, no dependencies except serde (to save states) and zmij (for the text of a number).

pub mod deviation;
pub(crate) mod digits;
pub mod distinct;
pub mod exact_sum;
pub mod extreme;
mod grid;
mod int256;
pub mod integers;
pub mod json;
pub mod json_number;
mod magnitude;
pub mod mean;
pub mod median;
pub mod number;
pub mod numerals;
pub mod order;
pub mod prefetch;
pub mod quantile;
pub mod ring;
mod root;
mod scaled;
pub mod separators;
pub mod shortest;
pub mod sketch;
mod sorted;
pub mod stable_hash;
pub(crate) mod stops;
#[cfg(test)]
mod testing;
mod tiers;
#[cfg(target_arch = "x86_64")]
pub(crate) mod vectors;
mod wide;
pub mod window;
