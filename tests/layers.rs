//! Who may import whom: the layer table of the crate's documentation, held to every `crate::…` path outside tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of each layer; a module may import those of lower layers and of its own.
const LAYERS: [&[&str]; 10] = [
    &["time", "offset", "metrics", "kernel"],
    &["error", "notes", "sensor"],
    &["atomic", "batch", "checkpoint", "chunk", "files"],
    &["format"],
    &["source", "stage", "sink", "registry"],
    &["pipeline"],
    &["runtime"],
    &["executor", "streaming"],
    &["verify"],
    &["cli"],
];

/// Modules of one layer that never import one another.
const STRANGERS: [&[&str]; 2] = [&["source", "stage", "sink"], &["executor", "streaming"]];

/// What a layer may import besides: a decoder travels with its chunk, a pipeline in code can be run.
const AGREED: [(&str, &str); 4] =
    [("chunk", "format"), ("pipeline", "executor"), ("pipeline", "runtime"), ("pipeline", "streaming")];

/// Modules that import one another, by way of others or not. There are to be fewer: one that is gone must go from here.
const CYCLES: [&[&str]; 3] = [
    &["chunk", "format"],
    &["executor", "pipeline", "runtime", "streaming"],
    &["registry", "sink", "source", "stage"],
];

/// Which module imports which others.
type Graph = BTreeMap<String, BTreeSet<String>>;

#[test]
fn nothing_imports_upward() {
    let layer: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(at, modules)| modules.iter().map(move |&module| (module, at)))
        .collect();
    let (mut breaches, mut unused) = (Vec::new(), BTreeSet::from(AGREED));
    let graph = graph();
    for (module, imports) in &graph {
        let Some(&mine) = layer.get(&**module) else { continue };
        for import in imports {
            let Some(&theirs) = layer.get(&**import) else { continue };
            let strangers = STRANGERS.iter().any(|s| s.contains(&&**module) && s.contains(&&**import));
            if (theirs > mine || strangers || module == "kernel") && !unused.remove(&(&**module, &**import)) {
                breaches.push(format!("`{module}` imports `{import}`"));
            }
        }
    }
    assert!(breaches.is_empty(), "imports against the layer table:\n{}", breaches.join("\n"));
    assert!(unused.is_empty(), "agreed on, and not needed any more: {unused:?}");
}

#[test]
fn modules_that_import_one_another_are_those_agreed_on() {
    assert_eq!(cycles(&graph()), CYCLES, "cycles of imports");
}

#[test]
fn every_module_has_a_layer() {
    let known: Vec<&str> = LAYERS.iter().flat_map(|modules| modules.iter().copied()).collect();
    let map = map();
    let declared: Vec<&str> =
        map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(declared.len() > 10, "the map declares the modules");
    for module in declared {
        assert!(known.contains(&module), "`{module}` has no layer");
    }
}

#[test]
fn imports_are_found_wherever_they_stand() {
    let names = BTreeMap::from([("Error".to_owned(), "error".to_owned())]);
    let found = |source: &str| imports(source, &names).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(found("#[cfg(test)]\nmod tests;\nuse crate::time::{Timestamp, Zone};"), "time");
    assert_eq!(found("use crate::{batch::{Batch, Mask}, Error,\n    sink};"), "batch error sink");
    assert_eq!(
        found("// crate::cli\nlet x = crate::files::open(crate::offset::START); // crate::cli"),
        "files offset"
    );
    assert_eq!(found("use crate::chunk;\n#[cfg(test)]\nmod tests {\n    use crate::cli;\n}"), "chunk");
}

#[test]
fn cycles_are_found_by_way_of_others() {
    let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("f", "a")];
    let mut graph = Graph::new();
    for (from, to) in edges {
        graph.entry(from.into()).or_default().insert(to.into());
    }
    assert_eq!(cycles(&graph), [["a", "b", "c"]]);
}

/// Modules of which each can be reached from all others, in order.
fn cycles(graph: &Graph) -> Vec<Vec<&str>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|module| (&**module, reached_from(graph, module))).collect();
    let is_mutual = |a: &str, b: &str| a == b || reached[a].contains(b) && reached[b].contains(a);
    let cycle =
        |&module: &&str| reached.keys().copied().filter(|other| is_mutual(module, other)).collect::<Vec<_>>();
    let cycles: BTreeSet<_> = reached.keys().map(cycle).filter(|cycle| cycle.len() > 1).collect();
    cycles.into_iter().collect()
}

fn reached_from<'g>(graph: &'g Graph, module: &str) -> BTreeSet<&'g str> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![module.to_owned()]);
    while let Some(module) = next.pop() {
        for import in graph.get(&module).into_iter().flatten() {
            if reached.insert(&**import) {
                next.push(import.clone());
            }
        }
    }
    reached
}

/// What the modules of the crate import, tests aside.
fn graph() -> Graph {
    let names = exported();
    let mut graph = Graph::new();
    for file in files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let module = module_of(&file);
        if ["lib", "main"].contains(&&*module) {
            continue;
        }
        let mut imports = imports(&fs::read_to_string(&file).expect("readable source"), &names);
        imports.remove(&module);
        graph.entry(module).or_default().append(&mut imports);
    }
    graph
}

fn map() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).expect("readable source")
}

/// What the crate exports by itself, and the module that it is from: `crate::Error` is of `error`.
fn exported() -> BTreeMap<String, String> {
    let map = map();
    let exports =
        map.lines().filter_map(|line| line.strip_prefix("pub use ")?.strip_suffix(';')?.split_once("::"));
    let names = |(module, names): (&str, &str)| {
        let names: Vec<_> = words(names).map(|name| (name, module.to_owned())).collect();
        names
    };
    exports.flat_map(names).collect()
}

/// The modules of all `crate::…` paths outside tests, groups in braces included.
fn imports(source: &str, exported: &BTreeMap<String, String>) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String =
        code.lines().flat_map(|line| [line.split("//").next().unwrap_or_default(), "\n"]).collect();
    let firsts = code.split("crate::").skip(1).flat_map(firsts);
    firsts.map(|first| exported.get(&first).cloned().unwrap_or(first)).collect()
}

/// The first parts of the paths behind `crate::`: one, or those of a group.
fn firsts(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else { return words(path).take(1).collect() };
    let (mut depth, mut begins, mut firsts) = (0, true, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            _ if begins && !c.is_whitespace() => {
                firsts.extend(words(&group[at..]).next());
                begins = false;
            }
            _ => {}
        }
    }
    firsts
}

fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| !word.is_empty()).map(str::to_owned)
}

fn module_of(file: &Path) -> String {
    let inside = file.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).expect("under src");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// All sources but those of tests alone, which are named after them.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("readable folder").map(|entry| entry.expect("entry").path());
    let is_of_tests = |path: &PathBuf| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        stem.ends_with("tests") || ["testing", "restarts", "coverage"].contains(&&*stem)
    };
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs") && !is_of_tests(path))
        .collect()
}
