//! Folders of goldens: their copies, runs in them, and what those have written.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tidemill::runtime::{RunOptions, StateOptions};
use tidemill::{Pipeline, Report};

use super::packers;

/// Files by their paths below a folder.
pub(crate) type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The end of the names of files that are kept packed.
const PACKED: &str = ".gz";

/// From so many bytes on they are.
const LARGE: usize = 8 << 10;

/// Where the goldens are.
pub(crate) fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The names of all of them: kind and version, joined by a hyphen.
pub(crate) fn names() -> Vec<String> {
    let entries = fs::read_dir(goldens()).expect("a folder").map(|entry| entry.expect("an entry"));
    let folders = entries.filter(|entry| entry.path().is_dir());
    folders.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect()
}

/// A copy of the golden `name` that a run may use.
pub(crate) fn copy(name: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, mut bytes) in files(&goldens().join(name)) {
        let mut to = folder.path().join(path);
        if to.to_string_lossy().ends_with(PACKED) {
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&*bytes).read_to_end(&mut unpacked).expect("packed");
            (to, bytes) = (to.with_extension(""), unpacked);
        }
        write(&to, &bytes);
    }
    folder
}

/// Keeps `folder` as the golden `name`.
pub(crate) fn keep(folder: &Path, name: &str) {
    for (path, bytes) in files(folder) {
        let to = goldens().join(name).join(path);
        match bytes.len() < LARGE {
            true => write(&to, &bytes),
            false => write(&PathBuf::from(format!("{}{PACKED}", to.display())), &packers::gz(&bytes)),
        }
    }
}

/// Writes a file, in folders that nobody else can write to: state folders must be such.
fn write(path: &Path, bytes: &[u8]) {
    let folder = path.parent().expect("a folder");
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).expect("made");
    fs::write(path, bytes).expect("written");
}

/// All files below a folder; none where it is not there.
pub(crate) fn files(root: &Path) -> Files {
    let (mut files, mut folders) = (Files::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).expect("read");
                files.insert(path.strip_prefix(root).expect("below").to_owned(), bytes);
            }
        }
    }
    files
}

/// What identifies a file that is in this folder: its own name.
pub(crate) fn own_name(path: &Path) -> String {
    path.file_name().expect("a name").to_str().expect("UTF-8").to_owned()
}

pub(crate) fn load(folder: &Path, pipeline: &str) -> Pipeline {
    Pipeline::load(folder.join(pipeline)).expect("a pipeline")
}

pub(crate) fn run(folder: &Path, pipeline: &str, options: &RunOptions) -> tidemill::Result<Report> {
    load(folder, pipeline).run_with(options, &mut ())
}

/// On one thread, with a checkpoint behind each chunk.
pub(crate) fn on_state(folder: &Path) -> RunOptions {
    let state =
        StateOptions { every: Duration::ZERO, waits: true, ..StateOptions::new(folder.join("state")) };
    RunOptions { threads: Some(1), state: Some(state), ..RunOptions::default() }
}

/// The outputs by name: files, and under the name of their folder those that are parts of one, joined.
pub(crate) fn outputs(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder.join("out")).expect("a folder").map(|entry| entry.expect("an entry"));
    let output = |entry: fs::DirEntry| {
        let (name, path) = (own_name(&entry.path()), entry.path());
        assert!(!name.starts_with('.'), "{name} is not finished");
        let text =
            if path.is_dir() { joined(folder, &name) } else { fs::read_to_string(path).expect("text") };
        (name, text)
    };
    entries.map(output).collect()
}

/// The files of one output one behind the other, in the order of their names, as text; of CSV, one header.
fn joined(folder: &Path, name: &str) -> String {
    let parts = files(&folder.join("out").join(name));
    let hidden = parts.keys().find(|path| own_name(path).starts_with('.'));
    assert_eq!(hidden, None, "{name} has one that is not finished");
    if parts.keys().all(|path| path.extension().is_some_and(|end| end == "parquet")) {
        return reread(folder, name);
    }
    let texts = parts.into_iter().map(|(path, bytes)| (path, String::from_utf8(bytes).expect("text")));
    let mut header = None;
    let body = |(path, text): (PathBuf, String)| {
        if path.extension().is_none_or(|end| end != "csv") {
            return text;
        }
        let (first, rest) = text.split_once('\n').expect("a header");
        assert_eq!(header.get_or_insert_with(|| first.to_owned()), first, "{}", path.display());
        rest.to_owned()
    };
    let bodies: String = texts.map(body).collect();
    header.unwrap_or_default() + &bodies
}

/// Parquet files as CSV.
fn reread(folder: &Path, name: &str) -> String {
    let toml = format!(
        "[source]\ntype = 'parquet'\npath = 'out/{name}/*.parquet'\ntime = 't'\nsensor = 's'\n[[sink]]\ntype = 'csv'\npath = 'reread.csv'\n"
    );
    fs::write(folder.join("reread.toml"), toml).expect("written");
    run(folder, "reread.toml", &RunOptions::default()).expect("readable");
    fs::read_to_string(folder.join("reread.csv")).expect("text")
}
