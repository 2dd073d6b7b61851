//! Remarks about the input that a user may not expect: each is reported once, however many files it applies to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Columns;
use crate::batch::FieldType;

/// The maximum number of remarks: every file may be odd in its own way.
const MOST: usize = 16;

/// Remarks, shared by all clones of the same columns.
#[derive(Clone, Debug, Default)]
pub(super) struct Remarks(Arc<Mutex<RemarkLog>>);

#[derive(Debug, Default)]
struct RemarkLog {
    remarks: Vec<String>,
    /// By column: the number of integers that were rounded, and the type that would have kept them.
    rounded: BTreeMap<String, (u64, FieldType)>,
}

/// A column name as a TOML key.
fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match !name.is_empty() && name.chars().all(is_bare) {
        true => name.to_owned(),
        false => toml::Value::from(name).to_string(),
    }
}

impl Remarks {
    fn kept(&self) -> MutexGuard<'_, RemarkLog> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Columns {
    /// Adds a remark unless it is known already.
    pub fn remark(&self, remark: String) {
        let remarks = &mut self.remarks.kept().remarks;
        if remarks.len() < MOST && !remarks.contains(&remark) {
            remarks.push(remark);
        } else if remarks.len() == MOST && !remarks.contains(&remark) {
            remarks.push("more remarks about the columns are omitted".into());
        }
    }

    /// The remarks so far.
    pub fn remarks(&self) -> Vec<String> {
        let kept = self.remarks.kept();
        let rounded = kept.rounded.iter().map(|(column, (count, ty))| {
            let (numbers, they) = match count {
                1 => ("1 integer", "it was rounded"),
                _ => (&*format!("{count} integers"), "they were rounded"),
            };
            let condition = if *ty == FieldType::U64 { " if none is negative" } else { "" };
            let (key, ty) = (key(column), ty.as_str());
            format!("column `{column}` has {numbers} that f64 cannot represent: {they}; types = {{ {key} = \"{ty}\" }} keeps all digits{condition}")
        });
        kept.remarks.iter().cloned().chain(rounded).collect()
    }

    /// Counts integers of a column that f64 cannot represent; the largest is near `largest`.
    pub fn note_rounded(&self, column: &str, count: u64, largest: f64) {
        if count == 0 {
            return;
        }
        const ABOVE_I64: f64 = 9_223_372_036_854_775_808.0;
        let mut kept = self.remarks.kept();
        let (known, ty) = kept.rounded.entry(column.to_owned()).or_insert((0, FieldType::I64));
        *known += count;
        if largest >= ABOVE_I64 {
            *ty = FieldType::U64;
        }
    }
}
