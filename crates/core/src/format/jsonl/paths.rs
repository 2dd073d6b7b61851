//! Nested objects as fields with dotted names: `{"a":{"b":1}}` has a field `a.b`.

use serde_json::value::RawValue;

use super::object::{FieldEntry, MAX_NESTING, is_nested, parts, too_deep};
use super::unfolded::{Swap, TakenApart};
use crate::format::refusal::Refusal;

/// The maximum length of a dotted name, in bytes.
const MAX_PATH: usize = 1024;

/// The names that are asked for. A nested value that is not among them is split: an object into all of its fields, an array into those that
/// are asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    /// Sorted.
    asked: Vec<String>,
}

/// The position of a nested value.
struct Nested<'u, 't> {
    /// The number of objects and arrays around it.
    depth: usize,
    /// Whether only names that are asked for are reported.
    is_strict: bool,
    swap: Option<Swap<'u, 't>>,
}

impl Paths {
    /// Asks for these names.
    pub(super) fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut asked: Vec<String> = names.into_iter().collect();
        asked.sort_unstable();
        asked.dedup();
        Self { asked }
    }

    /// Whether `name` is asked for.
    pub(super) fn has(&self, name: &str) -> bool {
        self.asked.binary_search_by(|asked| asked.as_str().cmp(name)).is_ok()
    }

    /// Whether anything nested in `name` is asked for.
    pub(super) fn has_below(&self, name: &str) -> bool {
        let is_before = |asked: &String| asked.bytes().lt(name.bytes().chain([b'.']));
        let next = self.asked.get(self.asked.partition_point(is_before));
        next.and_then(|asked| asked.strip_prefix(name)).is_some_and(|rest| rest.starts_with('.'))
    }

    /// Calls `each` for every field of a record with its name, nesting depth and value. If two have the same name, the one with the smaller
    /// depth counts, so that a key with dots wins over a path.
    ///
    /// # Errors
    /// Those of `each`, and why the record is rejected.
    pub(super) fn each<'t>(
        &self,
        fields: &[FieldEntry<'t>],
        swap: Option<Swap<'_, 't>>,
        each: &mut impl FnMut(&str, usize, &'t RawValue) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        for (name, value) in fields {
            let value = Swap::apply(swap, value);
            if is_nested(value) {
                let nested = Nested { depth: 0, is_strict: false, swap };
                self.nested(&mut name.clone().into_owned(), value, &nested, each)?;
            } else {
                each(name, 0, value)?;
            }
        }
        Ok(())
    }

    fn nested<'t>(
        &self,
        path: &mut String,
        value: &'t RawValue,
        nested: &Nested<'_, 't>,
        each: &mut impl FnMut(&str, usize, &'t RawValue) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let &Nested { depth, is_strict, swap } = nested;
        let (is_asked, is_array) = (self.has(path), value.get().starts_with('['));
        if is_asked || is_array && !is_strict {
            each(path, depth, value)?;
        }
        let is_strict = is_strict || is_asked || is_array;
        if is_strict && !self.has_below(path) {
            return Ok(());
        }
        if depth >= MAX_NESTING {
            return Err(too_deep());
        }
        let length = path.len();
        for (key, value) in &*Swap::parts(swap, value)? {
            path.truncate(length);
            path.push('.');
            path.push_str(key);
            if path.len() > MAX_PATH {
                return Err(Refusal::record(format!("the path of a field is longer than {MAX_PATH} bytes")));
            }
            let value = Swap::apply(swap, value);
            if is_nested(value) {
                self.nested(path, value, &Nested { depth: depth + 1, is_strict, swap }, each)?;
            } else if !is_strict || self.has(path) {
                each(path, depth + 1, value)?;
            }
        }
        path.truncate(length);
        Ok(())
    }
}

/// The value at `path` of an object: that of the key with this name, or of one nested in it. Arrays are not searched. `around` is called
/// with the nested objects that contain the value.
///
/// # Errors
/// Why the record is rejected.
pub(super) fn at_path<'t>(
    fields: &[FieldEntry<'t>],
    path: &str,
    around: &mut Vec<TakenApart<'t>>,
) -> Result<Option<&'t RawValue>, Refusal> {
    if let Some((_, value)) = fields.iter().find(|(name, _)| *name == path) {
        return Ok(Some(value));
    }
    for (name, value) in fields {
        let rest = path.strip_prefix(&**name).and_then(|rest| rest.strip_prefix('.'));
        let Some(rest) = rest.filter(|_| value.get().starts_with('{')) else { continue };
        let parts = parts(value)?;
        if let Some(found) = at_path(&parts, rest, around)? {
            around.push((value, parts));
            return Ok(Some(found));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::jsonl::object::parse;

    fn shown(asked: &[&str], record: &str) -> Vec<String> {
        let paths = Paths::new(asked.iter().map(|&name| name.to_owned()));
        let mut shown = Vec::new();
        let object = parse(record.as_bytes()).map_err(|refusal| refusal.reason).expect("an object");
        let taken = paths.each(&object.0, None, &mut |name, depth, value| {
            shown.push(format!("{name}@{depth}={}", value.get()));
            Ok(())
        });
        shown.extend(taken.err().map(|refusal| refusal.reason));
        shown
    }

    const RECORD: &str = r#"{"id":"a","meta":{"time":1,"at":{"x":2}},"gw":[{"rssi":-1},{"rssi":-2}],"e":{}}"#;

    #[test]
    fn clause_5_objects_give_their_fields_and_arrays_are_whole() {
        assert_eq!(
            shown(&[], RECORD),
            ["id@0=\"a\"", "meta.time@1=1", "meta.at.x@2=2", "gw@0=[{\"rssi\":-1},{\"rssi\":-2}]"]
        );
    }

    #[test]
    fn clause_5_what_is_asked_for_is_given_as_it_is() {
        let asked = ["meta", "meta.at.x", "gw.1.rssi", "gw.7.rssi", "e"];
        assert_eq!(
            shown(&asked, RECORD),
            [
                "id@0=\"a\"",
                "meta@0={\"time\":1,\"at\":{\"x\":2}}",
                "meta.at.x@2=2",
                "gw@0=[{\"rssi\":-1},{\"rssi\":-2}]",
                "gw.1.rssi@2=-2",
                "e@0={}"
            ]
        );
    }

    #[test]
    fn clause_5_paths_have_an_end() {
        let deep = |levels: usize| format!("{{\"v\":{}1{}}}", "{\"a\":".repeat(levels), "}".repeat(levels));
        assert_eq!(shown(&[], &deep(64)).len(), 1);
        assert!(shown(&[], &deep(65))[0].contains("64 deep"));
        let long = format!("{{\"v\":{{\"{}\":1}}}}", "k".repeat(1100));
        assert!(shown(&[], &long)[0].contains("longer than 1024 bytes"));
    }

    #[test]
    fn clause_5_a_key_with_dots_wins_over_a_path() {
        let object =
            parse(br#"{"a":{"b":{"c":1}},"a.b":{"c":2}}"#).map_err(|refusal| refusal.reason).expect("good");
        let found = |path| {
            at_path(&object.0, path, &mut Vec::new())
                .map_err(|refusal| refusal.reason)
                .expect("good")
                .map(RawValue::get)
        };
        assert_eq!(found("a.b"), Some("{\"c\":2}"));
        assert_eq!(found("a"), Some("{\"b\":{\"c\":1}}"));
        assert_eq!(found("a.x"), None);
    }
}
