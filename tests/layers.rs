//! Who may import whom: the layer table of the crate's documentation, held to the `use` lines.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of each layer; a module may import those of lower layers and of its own.
const LAYERS: [&[&str]; 10] = [
    &["time", "offset", "metrics", "kernel"],
    &["error", "sensor"],
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

#[test]
fn nothing_imports_upward() {
    let layer: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(at, modules)| modules.iter().map(move |&module| (module, at)))
        .collect();
    let mut breaches = Vec::new();
    for file in files(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        let module = module_of(&file);
        let Some(&mine) = layer.get(module.as_str()) else { continue };
        for import in imports(&fs::read_to_string(&file).expect("readable source")) {
            let Some(&theirs) = layer.get(import.as_str()) else { continue };
            let strangers =
                STRANGERS.iter().any(|s| s.contains(&&*module) && s.contains(&&*import)) && module != import;
            let agreed = AGREED.contains(&(&*module, &*import));
            if (theirs > mine || strangers || module == "kernel" && import != "kernel") && !agreed {
                breaches.push(format!("{}: `{module}` imports `{import}`", file.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "imports against the layer table:\n{}", breaches.join("\n"));
}

#[test]
fn every_module_has_a_layer() {
    let known: Vec<&str> = LAYERS.iter().flat_map(|modules| modules.iter().copied()).collect();
    let map =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).expect("readable source");
    let declared: Vec<&str> =
        map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(declared.len() > 10, "the map declares the modules");
    for module in declared {
        assert!(known.contains(&module), "`{module}` has no layer");
    }
}

/// The first parts of all `crate::…` paths outside tests.
fn imports(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let paths = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1));
    paths.map(|path| path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()).collect()
}

fn module_of(file: &Path) -> String {
    let inside = file.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).expect("under src");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("readable folder").map(|entry| entry.expect("entry").path());
    entries
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect()
}
