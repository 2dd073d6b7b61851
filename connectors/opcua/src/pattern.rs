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
#[path = "pattern_tests.rs"]
mod tests;
