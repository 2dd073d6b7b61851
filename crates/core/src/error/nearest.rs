//! Suggestions for misspelt names.

/// The name in `known` that is most similar to `name`, if one is similar enough.
pub fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len().min(name.len()) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest("tresholf", ["threshold", "normalize"]), Some("threshold"));
        assert_eq!(nearest("xyz", ["threshold", "normalize"]), None);
    }
}
