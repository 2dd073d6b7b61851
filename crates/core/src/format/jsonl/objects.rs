//! How objects become records: the names of their fields, and whether an object unfolds to several records.

use super::object::{FieldEntry, elements};
use super::paths::{Paths, at_path};
use super::unfolded::Unfolded;
use crate::format::refusal::Refusal;

/// The maximum total size in bytes of the fields around an array, which are repeated in every record.
const MOST_AROUND: usize = 16 << 20;

/// How objects become records.
#[derive(Clone, Debug)]
pub(super) struct Objects {
    pub(super) paths: Paths,
    /// The path of the array whose elements become one record each.
    pub(super) unfold: Option<String>,
}

impl Objects {
    /// Finds the array to unfold in an object of `length` bytes.
    ///
    /// # Errors
    /// Why the object is rejected.
    pub(super) fn unfolded<'t>(
        &self,
        path: &str,
        fields: &[FieldEntry<'t>],
        length: usize,
    ) -> Result<Unfolded<'t>, Refusal> {
        let mut around = Vec::new();
        let array = match at_path(fields, path, &mut around)? {
            Some(value) if value.get().starts_with('[') => value,
            Some(_) => {
                return Err(Refusal::record(format!("`{path}` is not an array, as `unfold` requires")));
            }
            None => return Err(Refusal::record(format!("there is no array `{path}` to unfold"))),
        };
        let elements = elements(array.get().as_bytes())?;
        // A field that is an object as a whole would contain the array.
        let is_carried = path.match_indices('.').any(|(end, _)| self.paths.has(&path[..end]));
        let carried = if is_carried { length } else { length.saturating_sub(array.get().len()) };
        let carried = carried.saturating_mul(elements.len());
        if carried > MOST_AROUND {
            return Err(Refusal::record(format!(
                "the fields around `{path}` take {carried} bytes when unfolded; {MOST_AROUND} are allowed"
            )));
        }
        Ok(Unfolded { array, elements, around })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::jsonl::reference::fields;

    #[test]
    fn clause_8_an_object_that_is_carried_with_its_array_counts_for_every_element() {
        let text = format!("{{\"a\":{{\"r\":[0{}]}}}}", ",0".repeat(4000));
        let unfolds = |names: &[&str]| {
            let paths = Paths::new(names.iter().map(|&name| name.to_owned()));
            let objects = Objects { paths, unfold: Some("a.r".into()) };
            let fields = fields(text.as_bytes()).map_err(|refusal| refusal.reason).expect("an object");
            let unfolded = objects.unfolded("a.r", &fields, text.len());
            unfolded.map(|unfolded| unfolded.elements.len()).map_err(|refusal| refusal.reason)
        };
        assert_eq!(unfolds(&["a.r"]), Ok(4001));
        assert!(unfolds(&["a", "a.r"]).expect_err("too much").contains("16777216 are allowed"));
    }
}
