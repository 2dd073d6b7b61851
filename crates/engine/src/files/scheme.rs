//! The file systems of addresses such as `s3://bucket/key`. The engine has none itself: other crates register theirs.

use std::io;
use std::path::Path;

use super::FileSystem;
use crate::error::{Error, Result};

pub(crate) use tidemill_core::paths::scheme as of;

/// The file system of a scheme: what addresses that begin with `NAME://` lead to. A crate registers it by `inventory::submit!`.
#[derive(Debug)]
pub struct FileScheme {
    /// The scheme, such as `s3`.
    pub name: &'static str,
    /// Whether files can be written there.
    pub is_writable: bool,
    /// Returns the file system. Its paths are whole addresses; it needs no part files, because it creates files by
    /// [`FileSystem::upload`].
    pub files: fn() -> &'static dyn FileSystem,
}

inventory::collect!(FileScheme);

/// The schemes that crates of this project register, with the Cargo feature of each.
const FEATURES: [(&str, &str); 5] =
    [("s3", "objects"), ("gs", "objects"), ("az", "objects"), ("http", "objects"), ("https", "objects")];

/// Whether files may have addresses of this scheme, be it in another build.
pub(crate) fn is_of_files(scheme: &str) -> bool {
    registered(scheme).is_some() || feature(scheme).is_some()
}

/// The schemes of files, for messages.
pub(crate) fn known() -> impl Iterator<Item = &'static str> {
    FEATURES.iter().map(|(scheme, _)| *scheme)
}

/// The file system that the address `path` leads to; `None` for a path of this machine.
///
/// # Errors
/// `Unsupported` if no file system is registered for its scheme.
pub(super) fn files(path: &Path) -> io::Result<Option<&'static dyn FileSystem>> {
    let Some(scheme) = of(path) else { return Ok(None) };
    let missing = || io::Error::new(io::ErrorKind::Unsupported, unknown(scheme).to_string());
    registered(scheme).map(|registered| Some((registered.files)())).ok_or_else(missing)
}

/// The same for the path of a pipeline, which is checked. Messages never show what may be a secret.
///
/// # Errors
/// A configuration error if the scheme is unknown, if the address has a password or a query, or if it has no host or bucket.
pub(crate) fn files_of_pipeline(path: &Path) -> Result<Option<&'static dyn FileSystem>> {
    let Some(scheme) = of(path) else { return Ok(None) };
    let registered = registered(scheme).ok_or_else(|| unknown(scheme))?;
    let address = path.to_string_lossy();
    let rest = &address[scheme.len() + "://".len()..];
    let authority = rest.split('/').next().unwrap_or(rest);
    if authority.contains('@') {
        return Err(Error::config(format!(
            "an address that begins with `{scheme}://` has a user or password"
        ))
        .with_help("leave out what is before the `@`: credentials are read from the environment"));
    }
    if scheme.starts_with("http") && rest.contains('?') {
        return Err(Error::config(format!(
            "an address at {authority} has a query (`?…`), which may hold a secret and would be in messages"
        ))
        .with_help("read it by the scheme of its store, such as `s3://bucket/key`"));
    }
    if authority.is_empty() || authority.contains(['*', '?', '{', '}']) {
        return Err(Error::config(format!("`{address}` has no fixed host or bucket"))
            .with_help(format!("write `{scheme}://NAME/…`; a name has no wildcards and no placeholders")));
    }
    Ok(Some((registered.files)()))
}

/// Checks that a pipeline can write files at `path`; returns whether it is an address.
///
/// # Errors
/// A configuration error, as above, or if files cannot be written there.
pub(crate) fn check_writable(path: &Path) -> Result<bool> {
    let Some(scheme) = of(path) else { return Ok(false) };
    files_of_pipeline(path)?;
    match registered(scheme) {
        Some(FileScheme { is_writable: false, .. }) => {
            Err(Error::config(format!("`{scheme}://` can be read, but not written"))
                .with_help("write to an object store, such as `s3://bucket/out.csv`; or to a file"))
        }
        _ => Ok(true),
    }
}

fn registered(scheme: &str) -> Option<&'static FileScheme> {
    inventory::iter::<FileScheme>.into_iter().find(|registered| registered.name == scheme)
}

fn feature(scheme: &str) -> Option<&'static str> {
    FEATURES.iter().find(|(known, _)| *known == scheme).map(|(_, feature)| *feature)
}

fn unknown(scheme: &str) -> Error {
    match feature(scheme) {
        Some(feature) => Error::config(format!("this build cannot read or write `{scheme}://`"))
            .with_help(format!("build it with the Cargo feature `{feature}`")),
        None => {
            let known = known().map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(", ");
            Error::config(format!("there is no `{scheme}://` for files"))
                .with_help(format!("the addresses of files begin with {known}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &str) -> String {
        files_of_pipeline(Path::new(path)).map(|found| found.is_some()).expect_err(path).to_string()
    }

    #[test]
    fn paths_of_this_machine_have_no_scheme() {
        for path in ["x.csv", "/x/y.csv", "a/b://c", "://x", "1s3://x", "s3:/x", "-"] {
            assert!(files_of_pipeline(Path::new(path)).expect(path).is_none(), "{path}");
        }
    }

    #[test]
    fn a_scheme_of_another_build_names_its_feature() {
        let told = refusal("gs://bucket/x.csv");
        assert!(told.contains("gs://") && told.contains("feature `objects`"), "{told}");
        assert!(refusal("ftp://host/x.csv").contains("s3://"));
        let error = files(Path::new("gs://bucket/x.csv")).map(|_| ()).expect_err("not registered");
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn secrets_in_addresses_are_refused_and_not_shown() {
        for path in ["memory://user:hunter2@host/x.csv", "memory://hunter2@host/*.csv"] {
            assert!(!refusal(path).contains("hunter2"), "{path}");
        }
        for path in ["memory://", "memory:///x.csv", "memory://a*/x.csv", "memory://{date}/{epoch}.csv"] {
            assert!(refusal(path).contains("host or bucket"), "{path}");
        }
    }
}
