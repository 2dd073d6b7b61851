//! A folder with a pipeline that fails, and what holds of every failure.

use std::path::Path;
use std::process::Output;

use super::command::{folder, run, text};

/// What stands in the outputs before the run.
const OLDER: &str = "of an older run\n";

/// A folder with an input, a pipeline from it to `out.csv` that begins with this `[source]`, and an older output.
pub(crate) fn bench(source: &str, more: &str) -> tempfile::TempDir {
    let folder = folder();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    let pipeline = format!("[source]\n{source}\n{more}\n[[sink]]\ntype = 'csv'\npath = 'out.csv'\n");
    write("p.toml", &pipeline);
    write("in.csv", "t,s,v,note\n1,a,1.5,x\n2,a,2.5,y\n");
    write("out.csv", OLDER);
    folder
}

/// A source for the file of [`bench`].
pub(crate) const CSV: &str = "type = 'csv'\npath = 'in.csv'";

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Holds that a run ended with this code and said just this, and left `out.csv` as it was and nothing beside it.
#[track_caller]
pub(crate) fn check(folder: &Path, output: &Output, code: i32, message: &str) {
    assert_eq!((output.status.code(), text(&output.stderr).trim_end()), (Some(code), message.trim_end()));
    check_untouched(folder);
}

#[track_caller]
pub(crate) fn check_untouched(folder: &Path) {
    assert_eq!(std::fs::read_to_string(folder.join("out.csv")).expect("the older output"), OLDER);
    let left: Vec<_> = names(folder).into_iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!(left, [""; 0], "temporary files");
}

/// Runs a pipeline that must fail, and holds what it says; `@` stands for its folder.
#[track_caller]
pub(crate) fn fails(source: &str, more: &str, code: i32, message: &str) {
    let folder = bench(source, more);
    let message = message.replace('@', folder.path().to_str().expect("UTF-8"));
    check(folder.path(), &run(folder.path(), &["run", "p.toml"]), code, &message);
}
