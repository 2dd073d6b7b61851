//! Paths, and what they match.

use proptest::prelude::*;

use super::*;

fn path(names: &[&str]) -> Vec<Step> {
    let step = |name: &&str| Step { namespace: 2, name: (*name).to_owned(), is_aside: false };
    names.iter().map(step).collect()
}

fn matches(pattern: &str, names: &[&str]) -> bool {
    is_matched(&Pattern::new(pattern).expect(pattern), &path(names))
}

fn is_matched(pattern: &Pattern, path: &[Step]) -> bool {
    let state = path.iter().fold(pattern.start(), |state, step| pattern.step(&state, step));
    pattern.is_match(&state)
}

#[test]
fn levels_are_names_wildcards_and_any_number() {
    for (pattern, names, expected) in [
        ("Objects/Plant/Temp", &["Objects", "Plant", "Temp"][..], true),
        ("Objects/Plant/Temp", &["Objects", "Plant"], false),
        ("Objects/*/Temp", &["Objects", "Plant", "Temp"], true),
        ("Objects/*/Temp", &["Objects", "Plant", "Line", "Temp"], false),
        ("Objects/**/Temp", &["Objects", "Plant", "Line", "Temp"], true),
        ("Objects/**/Temp", &["Objects", "Temp"], true),
        ("Objects/**", &["Objects", "a", "b", "c"], true),
        ("Objects/Line*/T*p", &["Objects", "Line1", "Temp"], true),
        ("Objects/T*p", &["Objects", "Tp"], true),
        ("Objects/T*T", &["Objects", "T"], false),
        ("Objects/2:Temp", &["Objects", "Temp"], true),
        ("Objects/3:Temp", &["Objects", "Temp"], false),
        ("Objects/a&/b", &["Objects", "a/b"], true),
        ("Objects/a&*", &["Objects", "ab"], false),
        ("Objects/a&*", &["Objects", "a*"], true),
    ] {
        assert_eq!(matches(pattern, names), expected, "{pattern} {names:?}");
    }
}

#[test]
fn wildcards_leave_out_properties_and_the_server() {
    let mut with = path(&["Objects", "Temp", "EURange"]);
    with[2].is_aside = true;
    for (pattern, expected) in
        [("Objects/Temp/*", false), ("Objects/**", false), ("Objects/Temp/EURange", true)]
    {
        assert_eq!(is_matched(&Pattern::new(pattern).expect(pattern), &with), expected, "{pattern}");
    }
}

#[test]
fn names_in_braces_are_the_texts_of_their_levels() {
    let pattern = Pattern::new("Objects/**/{line}/{sensor}").expect("a pattern");
    assert_eq!(pattern.names().collect::<Vec<_>>(), ["line", "sensor"]);
    assert_eq!(pattern.texts(&path(&["Objects", "a", "b", "c"])), ["b", "c"]);
}

#[test]
fn what_is_no_path_is_a_mistake() {
    for wrong in ["", "Plant/Temp", "Objects", "Objects/", "Objects//a", "Objects/{}", "Objects/{@a}"] {
        assert!(Pattern::new(wrong).expect_err(wrong).message().contains("`nodes`"));
    }
}

proptest! {
    #[test]
    fn the_text_of_a_path_matches_it_alone(names in proptest::collection::vec("[a-c/&*{}:1]{1,4}", 1..4), other in "[a-c/&*]{1,4}") {
        // A number before a colon is a namespace, and braces are a name.
        prop_assume!(names.iter().all(|name| !name.contains(':') && !name.starts_with('{')));
        let mut all = vec!["Objects"];
        all.extend(names.iter().map(String::as_str));
        let own = path(&all);
        let pattern = Pattern::new(&text_of(&own)).expect("a pattern");
        prop_assert!(is_matched(&pattern, &own));
        let last = all.len() - 1;
        all[last] = &other;
        prop_assert_eq!(is_matched(&pattern, &path(&all)), other == names[last - 1]);
    }

    #[test]
    fn states_match_what_the_recursion_matches(levels in proptest::collection::vec(prop_oneof!["[ab]", Just("*".to_owned()), Just("**".to_owned())], 1..5), names in proptest::collection::vec("[ab]", 0..6)) {
        let pattern = Pattern::new(&format!("Objects/{}", levels.join("/"))).expect("a pattern");
        let mut all = vec!["Objects"];
        all.extend(names.iter().map(String::as_str));
        let own = path(&all);
        prop_assert_eq!(is_matched(&pattern, &own), texts(&pattern.levels, &own).is_some());
    }
}
