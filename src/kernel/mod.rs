//! Pure numeric loops: no state but their own, no I/O, nothing but the standard library (and serde,
//! so that states can be saved).

pub mod exact_sum;
pub mod json;
pub mod number;
pub mod quantile;
pub mod ring;
pub mod separators;
mod wide;
pub mod window;
