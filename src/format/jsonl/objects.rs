//! How objects become records: what their fields are called, and whether one gives many.

use serde_json::value::RawValue;

use super::object::{Entry, elements};
use super::paths::{Paths, Swap, at_path};
use crate::format::rows::Refusal;

/// The fields around an array, which every element of it has, may come to this many bytes in all.
const MOST_AROUND: usize = 16 << 20;

/// How objects become records.
#[derive(Clone, Debug)]
pub(super) struct Objects {
    pub(super) paths: Paths,
    /// The path of the array whose elements become a record each.
    pub(super) unfold: Option<String>,
}

impl Objects {
    /// What stands in place of the array, for each record that an object of `length` bytes gives.
    ///
    /// # Errors
    /// Why the object has to be refused.
    pub(super) fn unfolded<'t>(
        &self,
        path: &str,
        fields: &[Entry<'t>],
        length: usize,
    ) -> Result<Vec<Swap<'t>>, Refusal> {
        let array: &'t RawValue = match at_path(fields, path)? {
            Some(value) if value.get().starts_with('[') => value,
            Some(_) => return Err(Refusal::record(format!("`{path}` is no array that could be unfolded"))),
            None => return Err(Refusal::record(format!("there is no array `{path}` to be unfolded"))),
        };
        let elements = elements(array.get().as_bytes())?;
        let around = length.saturating_sub(array.get().len()).saturating_mul(elements.len());
        if around > MOST_AROUND {
            return Err(Refusal::record(format!(
                "unfolded, the fields around `{path}` come to {around} bytes; {MOST_AROUND} are allowed"
            )));
        }
        Ok(elements.into_iter().map(|element| Swap { array, element }).collect())
    }
}
