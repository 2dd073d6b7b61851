//! Who may import whom. The layer table of the crate's documentation is held to every path outside tests, and no two modules may import one
//! another, be it by way of others: at no depth of the tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// The crates, each with the folder of its sources and the modules of its layers: a module may import those of lower layers and of its own. That no
/// crate imports one above it is held by the compiler.
const CRATES: [(&str, &[&[&str]]); 3] = [
    (
        "crates/core/src",
        &[
            &["time", "offset", "metrics", "kernel", "random"],
            &["error", "sensor"],
            &["batch", "options", "paths"],
            &["format"],
            &["stage"],
            &["chain"],
        ],
    ),
    (
        "crates/engine/src",
        &[
            &["notes", "cuts", "meter", "resilience", "files", "context", "probe", "arrow", "environment"],
            &["atomic", "checkpoint", "rows", "secret"],
            &["source", "sink"],
            &["registry"],
            &["pipeline"],
            &["runtime"],
            &["executor", "streaming", "run", "running"],
            &["explain", "verify", "doctor", "outbox", "chaos"],
        ],
    ),
    ("src", &[&["cli"]]),
];

/// Modules of one layer that never import one another.
const STRANGERS: [&[&str]; 2] = [&["source", "sink"], &["executor", "streaming"]];

/// A module, by the names on the way to it.
type Module = Vec<String>;

/// Which node leads to which.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// The modules of the crate, and what each imports.
type Imports = BTreeMap<Module, BTreeSet<Module>>;

#[test]
fn nothing_imports_upward() {
    let mut breaches = BTreeSet::new();
    for (folder, layers) in CRATES {
        let layers = layers.iter().enumerate();
        let layer: BTreeMap<&str, usize> =
            layers.flat_map(|(at, modules)| modules.iter().map(move |&module| (module, at))).collect();
        for (module, import) in edges(&imports(folder), &[]) {
            let (mine, theirs) = (layer[&*module], layer[&*import]);
            let are_strangers = STRANGERS.iter().any(|s| s.contains(&&*module) && s.contains(&&*import));
            if theirs > mine || are_strangers || module == "kernel" {
                breaches.insert(format!("`{module}` imports `{import}`"));
            }
        }
    }
    assert!(breaches.is_empty(), "imports against the layer table: {breaches:#?}");
}

#[test]
fn no_modules_import_one_another() {
    let found: Vec<(String, Vec<String>)> =
        CRATES.iter().flat_map(|(folder, _)| all_cycles(folder)).collect();
    assert!(found.is_empty(), "modules that import one another, by the module that they are in: {found:#?}");
}

/// The cycles at every depth of a crate, each with the module that it is in.
fn all_cycles(folder: &str) -> Vec<(String, Vec<String>)> {
    let imports = imports(folder);
    let parents: BTreeSet<&[String]> =
        imports.keys().flat_map(|module| (0..module.len()).map(|depth| &module[..depth])).collect();
    let mut found = Vec::new();
    for parent in parents {
        let mut graph = Graph::new();
        for (from, to) in edges(&imports, parent) {
            graph.entry(from).or_default().insert(to);
        }
        found.extend(cycles(&graph).into_iter().map(|cycle| (parent.join("/"), cycle)));
    }
    found
}

#[test]
fn every_module_has_a_layer() {
    for (folder, layers) in CRATES {
        let known: BTreeSet<&str> = layers.iter().flat_map(|modules| modules.iter().copied()).collect();
        let modules: BTreeSet<String> =
            imports(folder).into_keys().filter_map(|module| module.first().cloned()).collect();
        let modules: BTreeSet<&str> = modules.iter().map(|module| &**module).collect();
        assert_eq!(modules, known, "the modules in {folder}, and those that have a layer");
    }
}

#[test]
fn imports_are_found_wherever_they_stand() {
    let found = |source: &str| {
        let paths = paths(source).into_iter().map(|path| path.join("::"));
        paths.filter(|path| path.contains("::")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        found("#[cfg(test)]\nmod tests;\nuse crate::time::{Timestamp, Zone};"),
        "crate::time::Timestamp crate::time::Zone"
    );
    assert_eq!(
        found("use super::{batch::{Batch, Mask}, Error};"),
        "super::batch::Batch super::batch::Mask super::Error"
    );
    assert_eq!(
        found("// crate::cli\nfn x() { let x = crate::files::open(crate::offset::START); }"),
        "crate::files::open crate::offset::START"
    );
    assert_eq!(
        found("use crate::chunk::*;\n#[cfg(test)]\nmod tests {\n    use crate::cli::x;\n}"),
        "crate::chunk"
    );
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
fn cycles(graph: &Graph) -> Vec<Vec<String>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|module| (&**module, reached_from(graph, module))).collect();
    let is_mutual = |a: &str, b: &str| a == b || reached[a].contains(b) && reached[b].contains(a);
    let cycle = |&module: &&str| {
        reached
            .keys()
            .filter(|other| is_mutual(module, other))
            .map(|other| other.to_string())
            .collect::<Vec<_>>()
    };
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

/// The imports among the modules right below `parent`: of a module, all that is below it counts. What a module has to do with those below
/// itself is its own affair.
fn edges(imports: &Imports, parent: &[String]) -> BTreeSet<(String, String)> {
    let below = |module: &Module| module.strip_prefix(parent)?.first().cloned();
    let pairs = imports.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
    pairs.filter_map(|(from, to)| below(from).zip(below(to))).filter(|(from, to)| from != to).collect()
}

/// What the modules of a crate import, tests aside.
fn imports(folder: &str) -> Imports {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found: BTreeMap<Module, Vec<Module>> = BTreeMap::new();
    for file in files(&root) {
        let source = fs::read_to_string(&file).expect("readable source");
        found.insert(module_of(&file, &root), paths(&source));
    }
    let exported = exported(&found[&Vec::new()]);
    let modules: BTreeSet<Module> = found.keys().cloned().collect();
    let targets = |module: &Module, paths: &[Module]| {
        let absolute = paths.iter().filter_map(|path| absolute(module, path, &exported));
        absolute.map(|path| longest(&modules, path)).filter(|target| !target.is_empty()).collect()
    };
    let inner = found.iter().filter(|(module, _)| !module.is_empty() && **module != ["main"]);
    inner.map(|(module, paths)| (module.clone(), targets(module, paths))).collect()
}

/// What the root exports, by the module that it is from: `crate::Error` is of `error`.
fn exported(root: &[Module]) -> BTreeMap<String, Module> {
    let exports = root.iter().filter(|path| path.len() > 1 && path[0] != "crate");
    exports.map(|path| (path[path.len() - 1].clone(), path.clone())).collect()
}

/// A path from the root of the crate on; `None` where it is of another crate, or of what is below the module.
fn absolute(module: &Module, path: &Module, exported: &BTreeMap<String, Module>) -> Option<Module> {
    match &*path[0] {
        "crate" => match path.get(1).and_then(|first| exported.get(first)) {
            Some(export) => Some(export.clone()),
            None => Some(path[1..].to_vec()),
        },
        "super" => {
            let ups = path.iter().take_while(|name| *name == "super").count();
            Some([&module[..module.len().checked_sub(ups)?], &path[ups..]].concat())
        }
        _ => None,
    }
}

/// The module that an item of this path is in.
fn longest(modules: &BTreeSet<Module>, mut path: Module) -> Module {
    while !modules.contains(&path) {
        path.pop();
    }
    path
}

/// All paths in a source outside tests, those of `use` with each name by itself.
fn paths(source: &str) -> Vec<Module> {
    let mut paths = Paths::default();
    paths.visit_file(&syn::parse_file(source).expect("source that compiles"));
    paths.0
}

#[derive(Default)]
struct Paths(Vec<Module>);

impl<'s> Visit<'s> for Paths {
    fn visit_item(&mut self, item: &'s syn::Item) {
        if !is_of_tests(item) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'s syn::ItemUse) {
        self.tree(&mut Vec::new(), &item.tree);
    }

    fn visit_path(&mut self, path: &'s syn::Path) {
        self.0.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }
}

impl Paths {
    fn tree(&mut self, prefix: &mut Module, tree: &syn::UseTree) {
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.tree(prefix, &path.tree);
                prefix.pop();
            }
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.tree(prefix, item)),
            syn::UseTree::Name(name) => self.0.push([&prefix[..], &[name.ident.to_string()]].concat()),
            syn::UseTree::Rename(name) => self.0.push([&prefix[..], &[name.ident.to_string()]].concat()),
            syn::UseTree::Glob(_) => self.0.push(prefix.clone()),
        }
    }
}

/// Whether an item is there in tests alone.
fn is_of_tests(item: &syn::Item) -> bool {
    let attributes = match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        _ => return false,
    };
    let is_test = |attribute: &syn::Attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|condition| condition.is_ident("test"))
    };
    attributes.iter().any(is_test)
}

fn module_of(file: &Path, root: &Path) -> Module {
    let inside = file.strip_prefix(root).expect("under the root").with_extension("");
    let mut names: Module = inside.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    if names.last().is_some_and(|last| last == "mod") || names == ["lib"] {
        names.pop();
    }
    names
}

#[test]
fn examples_need_nothing_but_tidemill() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut folders = vec![examples];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).expect("text").replace('_', "-");
            let inner = ["tidemill-core", "tidemill-engine"].into_iter().find(|inner| text.contains(inner));
            assert_eq!(inner, None, "{}", path.display());
        }
    }
}

/// A connector has nothing that a stranger's would not have.
#[test]
fn connectors_use_what_is_exported() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let facade = paths(&fs::read_to_string(root.join("src/lib.rs")).expect("the facade"));
    let exported: BTreeSet<String> = facade.into_iter().filter_map(|mut path| path.pop()).collect();
    let modules = ["batch", "error", "format", "options", "sensor", "sink", "source", "stage", "time"];
    let connectors = fs::read_dir(root.join("connectors")).expect("connectors");
    let folders = connectors.map(|entry| entry.expect("an entry").path().join("src"));
    let mut private = BTreeSet::new();
    for file in folders.flat_map(|folder| files(&folder)) {
        let used = paths(&fs::read_to_string(&file).expect("readable source"));
        for path in used.iter().filter(|path| path[0] == "tidemill_engine") {
            let is_exported = |name: &String| exported.contains(name) || modules.contains(&&**name);
            // The item is the first name in capitals, or the last one, such as a function.
            let item = path.iter().find(|name| name.starts_with(char::is_uppercase)).or(path.last());
            if !item.is_some_and(is_exported) {
                private.insert(format!("{} in {}", path.join("::"), file.display()));
            }
        }
    }
    assert!(private.is_empty(), "not exported by src/lib.rs: {private:#?}");
}

/// All sources but those of tests alone, which are named after them.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("readable folder").map(|entry| entry.expect("entry").path());
    let is_of_tests = |path: &PathBuf| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        stem.ends_with("tests") || ["testing", "restarts", "coverage", "listed"].contains(&&*stem)
    };
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs") && !is_of_tests(path))
        .collect()
}
