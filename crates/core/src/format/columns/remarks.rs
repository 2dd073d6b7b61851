//! What was understood of the input that a user may not expect: each said once, however many files have it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Columns;
use crate::batch::FieldType;

/// So many are kept; files may all be odd in ways of their own.
const MOST: usize = 16;

/// Remarks that all copies of the same columns share.
#[derive(Clone, Debug, Default)]
pub(super) struct Remarks(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    remarks: Vec<String>,
    /// By column: how many whole numbers were rounded, and the type that would have kept them.
    rounded: BTreeMap<String, (u64, FieldType)>,
}

/// The name of a column as a key of TOML.
fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match !name.is_empty() && name.chars().all(is_bare) {
        true => name.to_owned(),
        false => toml::Value::from(name).to_string(),
    }
}

impl Remarks {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Columns {
    /// Keeps a remark, unless it is known.
    pub fn remark(&self, remark: String) {
        let remarks = &mut self.remarks.kept().remarks;
        if remarks.len() < MOST && !remarks.contains(&remark) {
            remarks.push(remark);
        } else if remarks.len() == MOST && !remarks.contains(&remark) {
            remarks.push("other files have columns that are remarkable too".into());
        }
    }

    /// What was remarkable about the columns so far.
    pub fn remarks(&self) -> Vec<String> {
        let kept = self.remarks.kept();
        let rounded = kept.rounded.iter().map(|(column, (count, ty))| {
            let (numbers, they) = match count {
                1 => ("1 whole number", "it is the nearest one"),
                _ => (&*format!("{count} whole numbers"), "they are the nearest ones"),
            };
            let condition = if *ty == FieldType::U64 { ", where no number is negative" } else { "" };
            let (key, ty) = (key(column), ty.as_str());
            format!("column `{column}` has {numbers} that no f64 is equal to: {they}; types = {{ {key} = \"{ty}\" }} keeps all digits{condition}")
        });
        kept.remarks.iter().cloned().chain(rounded).collect()
    }

    /// Counts whole numbers of a column that no float is equal to, the largest of which is near `largest`.
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
