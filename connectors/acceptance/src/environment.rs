//! The only place that reads the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

#[expect(clippy::disallowed_methods, reason = "the only place that reads the environment")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// A variable with a number.
///
/// # Panics
/// If it is something else.
pub(crate) fn number(name: &str) -> Option<u64> {
    let value = variable(name)?.into_string().ok().and_then(|value| value.parse().ok());
    Some(value.unwrap_or_else(|| panic!("{name} is not a number")))
}

/// The folder where `cargo xtask servers` puts programs that no package contains, and where tests keep what takes long to make.
pub(crate) fn cache() -> PathBuf {
    std::env::home_dir().unwrap_or_else(std::env::temp_dir).join(".cache/tidemill")
}

/// What `cargo xtask servers` has installed under this name: an environment of Python, or jars.
///
/// # Panics
/// If it is not there.
pub(crate) fn tool(name: &str) -> PathBuf {
    existing(cache().join("tools").join(name))
}

/// The path of `program`: in our own folder of programs, or where packages install them.
///
/// # Panics
/// If it is nowhere.
pub(crate) fn program(program: &str) -> PathBuf {
    let path = variable("PATH").unwrap_or_default();
    let mut folders = vec![cache().join("bin")];
    folders.extend(std::env::split_paths(&path));
    // Servers are here, and the path of users often lacks these folders.
    folders.extend(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let found = folders.iter().map(|folder| folder.join(program)).find(|path| path.is_file());
    found.unwrap_or_else(|| missing(Path::new(program)))
}

/// `path`, if it is there.
///
/// # Panics
/// If not.
pub(crate) fn existing(path: PathBuf) -> PathBuf {
    if path.exists() { path } else { missing(&path) }
}

fn missing(what: &Path) -> ! {
    panic!("`{}` is not installed: run `cargo xtask servers`", what.display())
}
