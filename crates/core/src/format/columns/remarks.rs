//! What was understood of the input that a user may not expect: each said once, however many files have it.

use std::sync::{Arc, Mutex, PoisonError};

use super::Columns;

/// So many are kept; files may all be odd in ways of their own.
const MOST: usize = 16;

/// Remarks that all copies of the same columns share.
#[derive(Clone, Debug, Default)]
pub(super) struct Remarks(Arc<Mutex<Vec<String>>>);

impl Columns {
    /// Keeps a remark, unless it is known.
    pub fn remark(&self, remark: String) {
        let mut remarks = self.remarks.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remarks.len() < MOST && !remarks.contains(&remark) {
            remarks.push(remark);
        } else if remarks.len() == MOST && !remarks.contains(&remark) {
            remarks.push("other files have columns that are remarkable too".into());
        }
    }

    /// What was remarkable about the columns so far.
    pub fn remarks(&self) -> Vec<String> {
        self.remarks.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
