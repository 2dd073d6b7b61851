//! The relative path from the folder of a pipeline file to its data.

use std::io;
use std::path::{Component, Path, PathBuf};

use tidemill_core::error::{Error, Result};

/// How `path`, which starts from the current folder, is written in a pipeline file in `folder`. Absolute paths stay as they are.
pub(super) fn seen_from(folder: &Path, path: &str) -> Result<String> {
    let failed = |error: io::Error| Error::io("find", folder.display(), &error);
    let here = std::env::current_dir().and_then(|here| here.canonicalize()).map_err(failed)?;
    let there = place(folder).map_err(failed)?;
    if path == "-" || Path::new(path).is_absolute() || here == there {
        return Ok(path.to_owned());
    }
    Ok(written(&names(&here)?, &names(&there)?, path))
}

/// The absolute path of a folder, with links resolved; it may not exist yet.
fn place(folder: &Path) -> io::Result<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    match (folder.canonicalize(), folder.parent(), folder.file_name()) {
        (Err(error), Some(parent), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
            Ok(place(parent)?.join(name))
        }
        (place, ..) => place,
    }
}

fn names(path: &Path) -> Result<Vec<&str>> {
    let names = path.components().filter(|part| matches!(part, Component::Normal(_)));
    let names = names.map(|name| name.as_os_str().to_str()).collect::<Option<Vec<_>>>();
    names.ok_or_else(|| {
        Error::usage(format!("the name of {} is not UTF-8", path.display()))
            .with_help("a pipeline file is UTF-8 text: name the data by an absolute path")
    })
}

/// The path from `there` to `path`, which is relative to `here`; both are absolute, split into names, with links resolved.
fn written(here: &[&str], there: &[&str], path: &str) -> String {
    let is_pattern = path.contains(['*', '?', '[']);
    let mut names = path.split('/').filter(|name| !matches!(*name, "" | "."));
    let (mut start, mut rest) = (here, Vec::new());
    // Only here is `..` certain to be the preceding name.
    for name in names.by_ref() {
        match start.split_last() {
            Some((_, above)) if name == ".." && rest.is_empty() => start = above,
            _ => rest.push(name),
        }
    }
    let full: Vec<&str> = start.iter().chain(&rest).copied().collect();
    let before_last = &full[..full.len().saturating_sub(1)];
    let common = before_last.iter().zip(there).take_while(|(one, other)| one == other).count();
    let up = std::iter::repeat_n("..".to_owned(), there.len() - common);
    let down = full[common..].iter().enumerate().map(|(at, name)| {
        // Folder names are literal, even if they contain wildcards.
        if is_pattern && common + at < start.len() { glob::Pattern::escape(name) } else { (*name).to_owned() }
    });
    up.chain(down).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_leads_over_the_last_folder_in_common() {
        let way = |there: &str, path: &str| {
            let names = |path: &'static str| path.split('/').collect::<Vec<_>>();
            let there: Vec<&str> = there.split('/').collect();
            written(&names("home/me/[x]"), &there, path)
        };
        for (there, path, expected) in [
            ("home/me/[x]/jobs", "in.csv", "../in.csv"),
            ("home/me/[x]/jobs", "./jobs/in.csv", "in.csv"),
            ("home/me/[x]/jobs", "data/../in.csv", "../data/../in.csv"),
            ("home/me/jobs", "data/a?.csv", "../[[]x[]]/data/a?.csv"),
            ("home/me/jobs", "data/a.csv", "../[x]/data/a.csv"),
            ("home/me/jobs", "../jobs/in.csv", "in.csv"),
            ("home/me/jobs", "../in.csv", "../in.csv"),
            ("srv", "../../../../x.csv", "../../x.csv"),
            ("srv", "x/srv", "../home/me/[x]/x/srv"),
        ] {
            assert_eq!(way(there, path), expected, "{path} from {there}");
        }
    }
}
