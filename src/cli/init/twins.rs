//! Files that exist twice, plain and compressed: read together, each record would count twice.

use std::path::{Path, PathBuf};

use super::inputs::extension;
use crate::cli::guess::SAMPLE;
use tidemill_engine::atomic::Outputs;
use tidemill_engine::source::{FileOptions, beginning};

/// The one of `files` with the same beginning and name as `file`, except for the compression.
pub(super) fn of<'f>(file: &Path, files: &'f [PathBuf]) -> Option<&'f PathBuf> {
    let mut named =
        files.iter().filter(|other| *other != file && unpacked(other) == unpacked(file)).peekable();
    named.peek()?;
    let own = content(file)?;
    named.find(|other| content(other).as_ref() == Some(&own))
}

/// Warnings about duplicates in `files`, all of which the pipeline reads.
pub(super) fn doubts(files: &[PathBuf]) -> Vec<String> {
    let pairs = files.iter().enumerate().filter_map(|(at, file)| Some((file, of(file, &files[..at])?)));
    let said = pairs.map(|(file, twin)| {
        format!(
            "{} has the same content as {}, compressed differently, and the pipeline reads both: name one of them in `path`",
            file.display(),
            twin.display()
        )
    });
    said.collect()
}

/// A path without the extension of a compression.
fn unpacked(path: &Path) -> PathBuf {
    let ending = extension(path).split('.').next().unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(extension(path)).unwrap_or(&name);
    path.with_file_name(format!("{stem}{ending}"))
}

/// The decompressed beginning of the one file at the path.
fn content(path: &Path) -> Option<Vec<u8>> {
    let files = FileOptions::from(path.to_str()?).files(&[], &Outputs::default()).ok()?;
    let [only] = files.as_slice() else { return None };
    beginning(only, SAMPLE).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_twice_is_found_by_what_it_has() {
        let folder = tempfile::tempdir().expect("a folder");
        let pack = |text: &str| {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut packer, text.as_bytes()).expect("packed");
            packer.finish().expect("packed")
        };
        let files = [
            ("a.csv", b"t,v\n1,2\n".to_vec()),
            ("a.csv.gz", pack("t,v\n1,2\n")),
            ("b.csv", b"t,v\n1,2\n".to_vec()),
            ("b.csv.gz", pack("t,v\n1,3\n")),
        ];
        let paths = files.map(|(name, content)| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).expect("written");
            path
        });
        let doubts = doubts(&paths);
        assert_eq!(doubts.len(), 1, "{doubts:?}");
        assert!(doubts[0].contains("a.csv.gz has the same content as"), "{doubts:?}");
    }
}
