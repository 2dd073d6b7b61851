//! Browse paths with wildcards, such as `Objects/Plant/*/Temperature`.

use tidemill_engine::error::{Error, Result};

/// Where paths begin: the children of the root.
const ROOTS: [&str; 3] = ["Objects", "Types", "Views"];

/// A node on the way to another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) namespace: u16,
    pub(crate) name: String,
    /// A property of the node before it, or the server's description of itself: wildcards leave both out.
    pub(crate) is_aside: bool,
}

/// A path whose levels may be wildcards.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pattern {
    pub(crate) written: String,
    levels: Vec<Level>,
}

#[derive(Clone, Debug, PartialEq)]
enum Level {
    /// Any number of levels.
    Deep,
    /// Any level, whose name is a column.
    Named(String),
    /// A name, in any namespace if none is given; with `*` for any characters.
    Name { namespace: Option<u16>, parts: Vec<String> },
}

/// The levels of a pattern that may be the next one.
pub(crate) type State = Vec<usize>;

impl Pattern {
    /// Reads a path.
    ///
    /// # Errors
    /// A configuration error.
    pub(crate) fn new(written: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::config(format!("`nodes` {written:?}: {why}"))
                .with_help("write a node id such as \"ns=2;s=Line1.Temp\", or a path such as \"Objects/Plant/*/Temperature\"")
        };
        let levels: Vec<_> = split(written.strip_prefix('/').unwrap_or(written));
        if !levels.first().is_some_and(|first| ROOTS.contains(&first.as_str())) {
            return Err(wrong("a path begins with Objects"));
        }
        let levels = levels.iter().map(|text| Level::new(text)).collect::<std::result::Result<Vec<_>, _>>();
        let levels = levels.map_err(wrong)?;
        if levels.len() < 2 {
            return Err(wrong("it has no level below that"));
        }
        Ok(Self { written: written.to_owned(), levels })
    }

    /// The names of levels, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.levels.iter().filter_map(|level| match level {
            Level::Named(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The state at the root.
    pub(crate) fn start(&self) -> State {
        self.closed(vec![0])
    }

    /// The state one level further down; empty if the pattern matches nothing there.
    pub(crate) fn step(&self, state: &State, step: &Step) -> State {
        let mut next = State::new();
        for &at in state {
            match self.levels.get(at) {
                Some(Level::Deep) if !step.is_aside => next.push(at),
                Some(level) if level.matches(step) => next.push(at + 1),
                _ => {}
            }
        }
        self.closed(next)
    }

    /// Whether a node in this state is matched.
    pub(crate) fn is_match(&self, state: &State) -> bool {
        state.contains(&self.levels.len())
    }

    /// Whether nodes further down may be matched.
    pub(crate) fn is_open(&self, state: &State) -> bool {
        state.iter().any(|&at| at < self.levels.len())
    }

    /// Adds what follows a level that may be left out.
    fn closed(&self, mut state: State) -> State {
        let mut seen = 0;
        while let Some(&at) = state.get(seen) {
            if self.levels.get(at) == Some(&Level::Deep) && !state.contains(&(at + 1)) {
                state.push(at + 1);
            }
            seen += 1;
        }
        state.sort_unstable();
        state.dedup();
        state
    }

    /// The texts of the named levels in a path that is matched.
    pub(crate) fn texts(&self, path: &[Step]) -> Vec<String> {
        texts(&self.levels, path).unwrap_or_default()
    }
}

fn texts(levels: &[Level], path: &[Step]) -> Option<Vec<String>> {
    match (levels.split_first(), path.split_first()) {
        (None, None) => Some(Vec::new()),
        (Some((Level::Deep, rest)), after) => texts(rest, path).or_else(|| texts(levels, after?.1)),
        (Some((level, rest)), Some((step, after))) if level.matches(step) => {
            let mut found = texts(rest, after)?;
            if matches!(level, Level::Named(_)) {
                found.insert(0, step.name.clone());
            }
            Some(found)
        }
        _ => None,
    }
}

impl Level {
    fn new(text: &str) -> std::result::Result<Self, &'static str> {
        if text == "**" {
            return Ok(Self::Deep);
        }
        if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            return match name.is_empty() || name.starts_with('@') || name.contains(['{', '}']) {
                true => Err("a name in braces must not be empty or begin with @"),
                false => Ok(Self::Named(name.to_owned())),
            };
        }
        let prefix = text.split_once(':').and_then(|(space, name)| Some((space.parse().ok()?, name)));
        let (namespace, name) = prefix.map_or((None, text), |(space, name)| (Some(space), name));
        if name.is_empty() {
            return Err("a level is empty");
        }
        // An escaped asterisk is none.
        let parts = name.split('*').map(|part| part.replace(ASTERISK, "*")).collect();
        Ok(Self::Name { namespace, parts })
    }

    fn matches(&self, step: &Step) -> bool {
        match self {
            Self::Deep => false,
            Self::Named(_) => !step.is_aside,
            Self::Name { namespace, parts } => {
                namespace.is_none_or(|own| own == step.namespace)
                    && !(step.is_aside && parts.len() > 1)
                    && is_like(parts, &step.name)
            }
        }
    }
}

/// Whether `name` consists of the parts, with anything between two of them.
fn is_like(parts: &[String], name: &str) -> bool {
    let [first, between @ .., last] = parts else {
        return parts.first().is_some_and(|only| only == name);
    };
    let Some(mut rest) = name.strip_prefix(first.as_str()) else { return false };
    for part in between {
        let Some(at) = rest.find(part.as_str()) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.len() >= last.len() && rest.ends_with(last.as_str())
}

/// Stands for an asterisk that is no wildcard, until the level was read: a character that names do not contain.
const ASTERISK: char = '\u{1}';

/// The levels of a path. `&` takes its meaning from the character behind it, as in the paths of the specification (OPC 10000-4, annex A).
fn split(path: &str) -> Vec<String> {
    let mut levels = vec![String::new()];
    let mut characters = path.chars();
    while let Some(character) = characters.next() {
        let level = match character {
            '/' => {
                levels.push(String::new());
                continue;
            }
            '&' => match characters.next() {
                Some('*') => ASTERISK,
                Some(escaped) => escaped,
                None => '&',
            },
            other => other,
        };
        if let Some(last) = levels.last_mut() {
            last.push(level);
        }
    }
    levels
}

/// A path as text, which as a pattern matches it.
pub(crate) fn text_of(path: &[Step]) -> String {
    let mut text = String::new();
    for (at, step) in path.iter().enumerate() {
        if at > 0 {
            text.push('/');
        }
        for character in step.name.chars() {
            if matches!(character, '/' | '&' | '*') {
                text.push('&');
            }
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
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
}
