//! Documentation refers to clauses, files, items and headings: each reference resolves.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Folders with text of this repository; the Markdown files beside them are added.
const FOLDERS: [&str; 12] = [
    "benches",
    "crates",
    "datasets",
    "docs",
    "examples",
    "fuzz",
    "profiling",
    "connectors",
    "src",
    "tests",
    "xtask",
    ".ci",
];

/// Pages that name files and items of the code as they are now; a changelog names older ones too.
const MAPS: [&str; 10] = [
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "docs/decisions/buffers.md",
    "docs/decisions/crew.md",
    "docs/decisions/exact-sums.md",
    "docs/decisions/graph.md",
    "docs/decisions/postcard.md",
    "docs/decisions/sinks.md",
    "docs/decisions/take-over.md",
    "docs/decisions/watermark.md",
];

/// A clause of `docs/semantics.md`: its heading is "### `name` (number)".
struct Clause {
    name: String,
    number: u32,
}

#[test]
fn every_clause_has_a_name_and_a_number_of_its_own() {
    let clauses = clauses();
    let names: BTreeSet<_> = clauses.iter().map(|clause| &*clause.name).collect();
    let numbers: BTreeSet<_> = clauses.iter().map(|clause| clause.number).collect();
    assert_eq!(names.len(), clauses.len(), "each name once");
    assert!(!numbers.is_empty() && numbers.iter().copied().eq(1..=clauses.len() as u32), "{numbers:?}");
    let text = read("docs/semantics.md");
    let numbered =
        text.lines().filter(|line| line.split_once(". ").is_some_and(|(n, _)| n.parse::<u32>().is_ok()));
    assert_eq!(numbered.collect::<Vec<_>>(), [""; 0], "a clause begins with a heading: ### `name` (number)");
    for clause in &clauses {
        let link = format!("[`{0}`](#{0}-{1})", clause.name, clause.number);
        assert!(text.contains(&link), "the table of clauses has {link}");
    }
}

#[test]
fn every_reference_to_a_clause_resolves() {
    let clauses = clauses();
    let is_known = |reference: &str| {
        clauses.iter().any(|clause| clause.name == reference || clause.number.to_string() == reference)
    };
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in files().filter(|file| file.as_path() != Path::new("tests/docs.rs")) {
        let Ok(text) = fs::read_to_string(root().join(&file)) else { continue };
        for reference in text.lines().flat_map(references) {
            seen += 1;
            if !is_known(&reference) {
                wrong.push(format!("{}: clause {reference}", file.display()));
            }
        }
    }
    assert!(seen > 200, "{seen} references were found");
    assert!(wrong.is_empty(), "no such clause in docs/semantics.md:\n{}", wrong.join("\n"));
}

#[test]
fn references_are_found_however_they_are_written() {
    let found = |line| references(line).collect::<Vec<_>>().join(" ");
    assert_eq!(found("Clause 5: quotes (clauses 2–4, 7 and 9)"), "5 2 3 4 7 9");
    assert_eq!(found("fn clause_8_and_10_order() // clauses 1 to 3"), "8 10 1 2 3");
    assert_eq!(found("clause `windows`, clauses `late` and `nulls`"), "windows late nulls");
    assert_eq!(found("one clause in 10, clause by clause"), "");
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut wrong = Vec::new();
    for file in files().filter(|file| file.extension().is_some_and(|end| end == "md")) {
        let text = read(&file);
        for link in links(&text) {
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => file.clone(),
                path => normal(&file.parent().unwrap_or(Path::new("")).join(path)),
            };
            let is_there = root().join(&target).exists();
            if !is_there || !anchor.is_empty() && !anchors(&read(&target)).any(|known| known == anchor) {
                wrong.push(format!("{}: {link}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
}

#[test]
fn every_path_and_item_that_the_maps_name_exists() {
    let sources: String =
        files().filter(|file| file.extension().is_some_and(|end| end == "rs")).map(read).collect();
    let words: BTreeSet<&str> = sources.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for page in MAPS {
        let text = read(page);
        for code in inline_code(&text) {
            let is_there = match code {
                path if is_path(path) => root().join(in_repository(path)).exists(),
                item if is_item(item) => item.split("::").all(|word| words.contains(word)),
                _ => continue,
            };
            seen += 1;
            if !is_there {
                wrong.push(format!("{page}: `{code}`"));
            }
        }
    }
    assert!(seen > 100, "{seen} paths and items were found");
    assert!(wrong.is_empty(), "not in the code:\n{}", wrong.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Text files of the repository, by their paths in it.
fn files() -> impl Iterator<Item = PathBuf> {
    let mut found = Vec::new();
    let beside = fs::read_dir(root()).expect("the repository").map(|entry| entry.expect("an entry").path());
    found.extend(beside.filter(|path| path.extension().is_some_and(|end| end == "md")));
    let mut folders: Vec<_> = FOLDERS.iter().map(|folder| root().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.expect("an entry").path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_made = name == "target" || name.starts_with('.');
            if path.is_dir() && !path.is_symlink() && !is_made {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|end| ["md", "py", "rs", "toml"].map(AsRef::as_ref).contains(&end))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found.into_iter().map(|path| path.strip_prefix(root()).expect("a path in the repository").to_owned())
}

fn clauses() -> Vec<Clause> {
    let heading = |line: &str| {
        let (name, number) = line.strip_prefix("### `")?.strip_suffix(')')?.split_once("` (")?;
        Some(Clause { name: name.to_owned(), number: number.parse().ok()? })
    };
    read("docs/semantics.md").lines().filter_map(heading).collect()
}

/// The names and numbers that follow the word "clause" in a line; of a range, all numbers. `clause_5_…` in names of tests is a reference too.
fn references(line: &str) -> impl Iterator<Item = String> {
    let line = line.replace('_', " ").to_lowercase();
    let mut found = Vec::new();
    for (at, word) in line.match_indices("clause") {
        let mut rest = line[at + word.len()..].trim_start_matches('s');
        let mut last: Option<u32> = None;
        while let Some((reference, is_range, behind)) = reference(rest, last.is_some()) {
            match (is_range, last, reference.parse::<u32>().ok()) {
                (true, Some(first), Some(end)) => {
                    found.extend((first + 1..=end).map(|number| number.to_string()))
                }
                _ => found.push(reference.clone()),
            }
            last = Some(reference.parse().unwrap_or(0));
            rest = behind;
        }
    }
    found.into_iter()
}

/// The reference at the beginning of `text`, whether it ends a range, and what follows it.
fn reference(text: &str, is_further: bool) -> Option<(String, bool, &str)> {
    let separators = if is_further { &[", ", " and ", " or ", "–", " to "][..] } else { &[" "][..] };
    let (separator, rest) = separators.iter().find_map(|by| Some((*by, text.strip_prefix(by)?)))?;
    let is_range = matches!(separator, "–" | " to ");
    if let Some((name, behind)) = rest.strip_prefix('`').and_then(|rest| rest.split_once('`')) {
        return Some((name.to_owned(), false, behind));
    }
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    (digits > 0).then(|| (rest[..digits].to_owned(), is_range, &rest[digits..]))
}

/// Targets of links within the repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    targets.filter(|target| !target.contains("://") && !target.contains(char::is_whitespace))
}

/// The anchors of a page's headings, as GitHub makes them.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|line| line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')).map(
        |title| {
            let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.collect::<String>().to_lowercase().replace(' ', "-")
        },
    )
}

/// Code within lines of text; blocks are left out.
fn inline_code(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|prose| prose.split('`').skip(1).step_by(2))
}

/// Whether code is a path in the repository, and not a pattern or a command.
fn is_path(code: &str) -> bool {
    let is_plain = code.chars().all(|c| c.is_alphanumeric() || "/._-".contains(c));
    let starts =
        ["core", "engine"].iter().chain(&FOLDERS).any(|folder| code.starts_with(&format!("{folder}/")));
    let is_source = code.contains('/') && code.ends_with(".rs");
    is_plain && (starts || is_source)
}

/// `core/…` and `engine/…` stand for the sources of those crates.
fn in_repository(path: &str) -> PathBuf {
    match path.split_once('/') {
        Some((name @ ("core" | "engine"), rest)) => Path::new("crates").join(name).join("src").join(rest),
        _ => PathBuf::from(path),
    }
}

/// Whether code is a type or a function of one: `Batch`, `Sink::deliver`.
fn is_item(code: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_');
    let is_type =
        code.starts_with(|c: char| c.is_ascii_uppercase()) && code.contains(|c: char| c.is_ascii_lowercase());
    (is_type || code.contains("::")) && code.split("::").all(is_word)
}

/// A path without `..` inside it.
fn normal(path: &Path) -> PathBuf {
    let mut all = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(all.pop()),
            Component::CurDir => {}
            part => all.push(part),
        }
    }
    all
}
