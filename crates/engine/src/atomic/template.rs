//! The names of the files that a rolling sink writes: `out/{date}/{hour}-{epoch}.csv`.
//!
//! A placeholder stands for digits only, and those come from a time and a counter: nothing that a record says can lead out of the folder in
//! front of the first placeholder.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::UNTIL;
use super::hidden::PART;
use super::marks::MARK;
use crate::error::{Error, Result};
use crate::files::{FilePath, FileSystem, FileType, is_address, kind_if_there};
use crate::time::Timestamp;

/// The minimum number of digits of an epoch's number, so that names sort.
const DIGITS: usize = 10;

/// The maximum number of digits of an epoch's number.
const MOST_DIGITS: usize = 20;

/// What the path of rolled files looks like.
const HELP: &str = "write `out/{date}/{hour}-{epoch}.csv`, for one: {epoch} is the number that tells files apart, {date} and {hour} are the time of a file's first record";

/// A path with placeholders: the names of the files of a rolling sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The folder above the first name with a placeholder.
    root: PathBuf,
    /// The names of the folders below it, and last that of the file.
    names: Vec<Vec<Piece>>,
}

/// A part of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Date,
    Hour,
    Epoch,
}

/// A file whose name fits a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rolled {
    pub(crate) path: PathBuf,
    /// The number of its epoch.
    pub(crate) epoch: u64,
}

/// The files that fit a template.
#[derive(Debug, Default)]
pub(crate) struct FoundFiles {
    /// The rolled files.
    pub(crate) files: Vec<Rolled>,
    /// The hidden files beside them, part files and their marks, and files that were [kept](UNTIL).
    pub(crate) hidden: Vec<PathBuf>,
}

impl Template {
    /// Parses `path`.
    ///
    /// # Errors
    /// A configuration error with a path to write instead.
    pub fn new(path: &FilePath) -> Result<Self> {
        let written = path.written();
        let wrong = |what: &str| Error::config(format!("`path` \"{written}\" {what}")).with_help(HELP);
        if super::is_stdout(written) {
            return Err(wrong("is standard output, which cannot be rolled"));
        }
        if written.is_empty() || written.ends_with('/') {
            return Err(wrong("names no file"));
        }
        super::paths::check_address(path.place())?;
        let components: Vec<_> = Path::new(written).components().collect();
        let is_fixed = |component: &Component<'_>| match component {
            Component::Normal(name) => !name.as_bytes().iter().any(|byte| b"{}".contains(byte)),
            _ => true,
        };
        let fixed = components.iter().take_while(|component| is_fixed(component)).count();
        let (mut root, mut names) = (path.place().to_owned(), Vec::new());
        for component in &components[fixed..] {
            let Component::Normal(name) = component else {
                return Err(wrong("leads out of a folder with a placeholder"));
            };
            root.pop();
            names.push(pieces(&name.to_string_lossy()).map_err(|what| wrong(&what))?);
        }
        let count = |name: &Vec<Piece>| name.iter().filter(|piece| **piece == Piece::Epoch).count();
        let counts: Vec<_> = names.iter().map(count).collect();
        match counts.split_last() {
            Some((1, folders)) if folders.iter().all(|&count| count == 0) => Ok(Self { root, names }),
            Some((_, folders)) if folders.iter().any(|&count| count > 0) => {
                Err(wrong("has {epoch} in the name of a folder: it belongs to the file's"))
            }
            Some((0, _)) | None => {
                Err(wrong("has no {epoch} in the name of the file: all would be called alike"))
            }
            Some(_) => Err(wrong("has {epoch} twice")),
        }
    }

    /// The folder above the first name with a placeholder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether the names have the time of a file's first record.
    pub(crate) fn tells_time(&self) -> bool {
        self.names.iter().flatten().any(|piece| matches!(piece, Piece::Date | Piece::Hour))
    }

    /// The path, below the root, of the file of `epoch` whose first record has the time `first`.
    pub(crate) fn name(&self, first: Option<Timestamp>, epoch: u64) -> PathBuf {
        // The first ten characters are the date: every year of a `Timestamp` has four digits.
        let time = first.unwrap_or(Timestamp::from_nanos(0)).to_string();
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Date => time[..10].to_owned(),
            Piece::Hour => time[11..13].to_owned(),
            Piece::Epoch => format!("{epoch:0DIGITS$}"),
        };
        self.names.iter().map(|name| name.iter().map(piece).collect::<String>()).collect()
    }

    /// The part below the root, with its placeholders.
    fn written(&self) -> PathBuf {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Date => "{date}".to_owned(),
            Piece::Hour => "{hour}".to_owned(),
            Piece::Epoch => "{epoch}".to_owned(),
        };
        self.names.iter().map(|name| name.iter().map(piece).collect::<String>()).collect()
    }

    /// The path with its placeholders, for messages.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.root.join(self.written())
    }

    /// Whether the path of a file fits, complete or not.
    pub(crate) fn has(&self, path: &Path) -> bool {
        let Some(name) = path.file_name() else { return false };
        // Folders are resolved only if the name fits, because that takes system calls.
        let (own, folders) = self.own();
        if epoch(own, name.as_bytes()).is_none() && !is_beside(own, name.as_bytes()) {
            return false;
        }
        let folder = crate::files::folder(path);
        let is_below = |folder: &Path, root: &Path| {
            folder.strip_prefix(root).is_ok_and(|below| {
                below.components().count() == folders.len()
                    && below
                        .components()
                        .zip(folders)
                        .all(|(found, own)| fits(own, found.as_os_str().as_bytes()))
            })
        };
        let place = |path: &Path| path.canonicalize().ok();
        let root = if self.root.as_os_str().is_empty() { Path::new(".") } else { &self.root };
        is_below(folder, &self.root)
            || place(folder).zip(place(root)).is_some_and(|(folder, root)| is_below(&folder, &root))
    }

    /// Whether a name can fit both templates.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let (own, others) = (self.whole(), other.whole());
        own.len() == others.len() && own.iter().zip(&others).all(|(own, other)| may_be_alike(own, other))
    }

    /// All names of the path, from the root of the file system.
    fn whole(&self) -> Vec<Vec<Piece>> {
        let root = if self.root.as_os_str().is_empty() { Path::new(".") } else { &self.root };
        let root = root.canonicalize().ok().or_else(|| std::path::absolute(root).ok());
        let root = root.unwrap_or_else(|| self.root.clone());
        let fixed =
            root.components().map(|name| vec![Piece::Text(name.as_os_str().to_string_lossy().into_owned())]);
        fixed.chain(self.names.iter().cloned()).collect()
    }

    /// The name of the file, and those of the folders.
    fn own(&self) -> (&[Piece], &[Vec<Piece>]) {
        self.names.split_last().map_or((&[], &[]), |(own, folders)| (own, folders))
    }

    /// Finds the files that fit. A folder that does not exist has none.
    ///
    /// # Errors
    /// An I/O error.
    pub(crate) fn look(&self, files: &dyn FileSystem) -> std::io::Result<FoundFiles> {
        let mut found_files = FoundFiles::default();
        let (own, folders) = self.own();
        let mut places = vec![self.root.clone()];
        for name in folders {
            let mut below = Vec::new();
            for place in &places {
                let found = names(files, place)?;
                below.extend(
                    found.iter().filter(|found| fits(name, found.as_bytes())).map(|found| place.join(found)),
                );
            }
            places = below;
        }
        for place in places {
            for name in names(files, &place)? {
                let path = place.join(&name);
                match epoch(own, name.as_bytes()) {
                    Some(epoch) => found_files.files.push(Rolled { path, epoch }),
                    None if is_beside(own, name.as_bytes()) => found_files.hidden.push(path),
                    None => {}
                }
            }
        }
        found_files.files.sort_by(|a, b| (a.epoch, &a.path).cmp(&(b.epoch, &b.path)));
        Ok(found_files)
    }
}

/// The names in a folder; none if it does not exist or is not a folder.
fn names(files: &dyn FileSystem, folder: &Path) -> std::io::Result<Vec<std::ffi::OsString>> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    if is_address(folder) {
        return files.names(folder);
    }
    match kind_if_there(files, folder)? {
        Some(FileType::Folder) => files.names(folder),
        _ => Ok(Vec::new()),
    }
}

/// Parses a name; the error says what is wrong with it.
fn pieces(name: &str) -> std::result::Result<Vec<Piece>, String> {
    let (mut pieces, mut rest) = (Vec::new(), name);
    let text = |text: &str| match text.contains('}') {
        true => Err("has a `}` without a `{` before it".to_owned()),
        false => Ok((!text.is_empty()).then(|| Piece::Text(text.to_owned()))),
    };
    while let Some((before, behind)) = rest.split_once('{') {
        let (placeholder, after) = behind.split_once('}').ok_or("has a `{` without a `}` behind it")?;
        pieces.extend(text(before)?);
        pieces.push(match placeholder {
            "date" => Piece::Date,
            "hour" => Piece::Hour,
            "epoch" => Piece::Epoch,
            other => return Err(format!("has the unknown placeholder {{{other}}}")),
        });
        rest = after;
    }
    pieces.extend(text(rest)?);
    Ok(pieces)
}

/// Whether `name` fits `pieces`.
fn fits(pieces: &[Piece], name: &[u8]) -> bool {
    numbers(pieces, name).is_some()
}

/// The number of the epoch in `name`, if it fits `pieces` and has one.
fn epoch(pieces: &[Piece], name: &[u8]) -> Option<u64> {
    numbers(pieces, name).flatten()
}

/// If `name` fits `pieces`: the number of the epoch in it, if there is one.
fn numbers(pieces: &[Piece], name: &[u8]) -> Option<Option<u64>> {
    let Some((first, rest)) = pieces.split_first() else { return name.is_empty().then_some(None) };
    match first {
        Piece::Text(text) => numbers(rest, name.strip_prefix(text.as_bytes())?),
        Piece::Date => {
            let (date, after) = name.split_at_checked(10)?;
            let is_date = date.iter().enumerate().all(|(at, byte)| match at {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            });
            if is_date { numbers(rest, after) } else { None }
        }
        Piece::Hour => {
            let (hour, after) = name.split_at_checked(2)?;
            if hour.iter().all(u8::is_ascii_digit) { numbers(rest, after) } else { None }
        }
        Piece::Epoch => {
            let digits = name.iter().take_while(|byte| byte.is_ascii_digit()).count();
            // The last digits may belong to the next placeholder.
            (DIGITS..=digits.min(MOST_DIGITS)).rev().find_map(|length| {
                numbers(rest, &name[length..])?;
                let number: u64 = std::str::from_utf8(&name[..length]).ok()?.parse().ok()?;
                // A longer number with leading zeros was not written by a sink.
                (length == DIGITS || name[0] != b'0').then_some(Some(number))
            })
        }
    }
}

/// Whether `name` is that of a part file, of its mark, or of a file that was [kept](UNTIL).
fn is_beside(own: &[Piece], name: &[u8]) -> bool {
    let fits_before = |name: &[u8], kind: &str| {
        let kind = kind.as_bytes();
        let places = name.windows(kind.len()).enumerate().filter(|(_, bytes)| *bytes == kind);
        places.map(|(at, _)| at).any(|at| fits(own, &name[..at]))
    };
    let hidden = name.strip_prefix(b".");
    fits_before(name, UNTIL)
        || hidden.is_some_and(|name| [PART, MARK].into_iter().any(|kind| fits_before(name, kind)))
}

/// Whether a name can fit both; each placeholder counts as a fixed number of digits.
fn may_be_alike(one: &[Piece], other: &[Piece]) -> bool {
    let shape = |pieces: &[Piece]| {
        let shape = pieces.iter().flat_map(|piece| match piece {
            Piece::Text(text) => text.chars().map(Some).collect::<Vec<_>>(),
            Piece::Date => "dddd-dd-dd".chars().map(|c| (c != 'd').then_some(c)).collect(),
            Piece::Hour => vec![None; 2],
            Piece::Epoch => vec![None; DIGITS],
        });
        shape.collect::<Vec<_>>()
    };
    let (one, other) = (shape(one), shape(other));
    let is_alike = |(one, other): (&Option<char>, &Option<char>)| match (one, other) {
        (Some(one), Some(other)) => one == other,
        (Some(text), None) | (None, Some(text)) => text.is_ascii_digit(),
        (None, None) => true,
    };
    one.len() == other.len() && one.iter().zip(&other).all(is_alike)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Disk;

    fn template(path: &str) -> Template {
        Template::new(&FilePath::from(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[test]
    fn what_is_no_template_is_refused_and_it_is_said_what_to_write() {
        for (path, what) in [
            ("", "names no file"),
            ("-", "standard output"),
            ("out/", "names no file"),
            ("out/{epoch}/", "names no file"),
            ("out/all.csv", "no {epoch}"),
            ("out/{date}.csv", "no {epoch}"),
            ("out/{epoch}/all.csv", "the name of a folder"),
            ("out/{epoch}/{epoch}.csv", "the name of a folder"),
            ("out/{epoch}-{epoch}.csv", "twice"),
            ("out/{", "a `{` without"),
            ("out/{epoch}{.csv", "a `{` without"),
            ("out/{epoch", "a `{` without"),
            ("out/}{epoch}", "a `}` without"),
            ("out/{epoch}}", "a `}` without"),
            ("out/{sensor}-{epoch}.csv", "unknown placeholder {sensor}"),
            ("out/{}{epoch}.csv", "unknown placeholder {}"),
            ("out/{Epoch}.csv", "unknown placeholder {Epoch}"),
            ("out/{ epoch}.csv", "unknown placeholder { epoch}"),
            ("{date}/../{epoch}.csv", "leads out of"),
            ("{date}/..", "leads out of"),
        ] {
            let error = Template::new(&FilePath::from(path)).expect_err(path);
            assert!(error.message().contains(what), "{path}: {error}");
            assert!(error.to_string().contains("{hour}-{epoch}.csv"), "{path}: {error}");
        }
    }

    #[test]
    fn names_are_of_digits_and_sort() {
        let time = Timestamp::from_nanos(1_714_575_600_000_000_001);
        let all = template("out/{date}/{hour}-{epoch}.csv");
        assert_eq!(all.root(), Path::new("out"));
        assert_eq!(all.name(Some(time), 7), Path::new("2024-05-01/15-0000000007.csv"));
        assert_eq!(template("/data/{epoch}").root(), Path::new("/data"));
        assert_eq!(template("../out/x.{epoch}.d").root(), Path::new("../out"));
        assert_eq!(template("{epoch}").root(), Path::new(""));
        assert_eq!(
            template("a{date}{hour}{epoch}{hour}").name(Some(time), 7),
            Path::new("a2024-05-0115000000000715")
        );
        for nanos in [i64::MIN, -1, 0, i64::MAX] {
            let name = all.name(Some(Timestamp::from_nanos(nanos)), u64::MAX);
            assert!(all.has(&all.root().join(&name)), "{}", name.display());
        }
        let names: Vec<_> =
            [0, 9, 10, 99_999, 9_999_999_999].map(|at| template("{epoch}").name(None, at)).into();
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn its_own_files_are_known_under_all_their_names_and_no_others() {
        let all = template("out/{date}/{hour}-{epoch}.csv");
        let day = "out/2024-05-01";
        for name in [
            "15-0000000007.csv",
            "15-12345678901.csv",
            ".15-0000000007.csv.part-1-2",
            ".15-0000000007.csv.state-1-2",
            "15-0000000007.csv.until-30",
        ] {
            assert!(all.has(Path::new(&format!("{day}/{name}"))), "{name}");
            assert!(!all.has(Path::new(&format!("out/{name}"))), "{name}");
            assert!(!all.has(Path::new(&format!("out/x/{name}"))), "{name}");
            assert!(!all.has(Path::new(&format!("other/2024-05-01/{name}"))), "{name}");
        }
        for name in [
            "15-7.csv",
            "15-00000000070.csv",
            "1-0000000007.csv",
            "15-0000000007.csvx",
            "in.csv",
            "15-000000000x.csv",
        ] {
            assert!(!all.has(Path::new(&format!("{day}/{name}"))), "{name}");
        }
        let twice = template("{epoch}{hour}");
        assert!(twice.has(Path::new("000000000715")) && twice.has(Path::new("1234567890115")));
        assert!(!twice.has(Path::new("00000000071")));
    }

    #[test]
    fn templates_that_may_give_one_name_overlap() {
        for (one, other, do_overlap) in [
            ("out/{epoch}.csv", "out/{epoch}.csv", true),
            ("out/{epoch}.csv", "./out/{epoch}.csv", true),
            ("out/{epoch}.csv", "out/{epoch}.jsonl", false),
            ("out/{date}/{epoch}.csv", "out/2024-05-01/{epoch}.csv", true),
            ("out/{date}/{epoch}.csv", "out/raw/{epoch}.csv", false),
            ("out/{hour}{epoch}.csv", "out/{epoch}{hour}.csv", true),
            ("out/{hour}-{epoch}.csv", "out/x-{epoch}.csv", false),
            ("out/{epoch}.csv", "other/{epoch}.csv", false),
        ] {
            assert_eq!(template(one).overlaps(&template(other)), do_overlap, "{one}, {other}");
            assert_eq!(template(other).overlaps(&template(one)), do_overlap, "{other}, {one}");
        }
    }

    #[test]
    fn what_lies_there_is_found_in_the_order_of_epochs() {
        let place = tempfile::tempdir().expect("a folder");
        let at = |name: &str| place.path().join(name);
        for name in [
            "2024-05-01/15-0000000003.csv",
            "2024-04-30/16-0000000007.csv",
            "2024-05-01/.15-0000000008.csv.part-1-2",
            "2024-05-01/note.csv",
            "x/15-0000000003.csv",
        ] {
            std::fs::create_dir_all(at(name).parent().expect("a folder")).expect("made");
            std::fs::write(at(name), "").expect("written");
        }
        let path = FilePath::from(at("{date}/{hour}-{epoch}.csv").to_str().expect("UTF-8"));
        let all = Template::new(&path).expect("a template");
        let found_files = all.look(&Disk).expect("looked");
        let found: Vec<_> = found_files.files.iter().map(|file| (file.epoch, file.path.clone())).collect();
        assert_eq!(found, [(3, at("2024-05-01/15-0000000003.csv")), (7, at("2024-04-30/16-0000000007.csv"))]);
        assert_eq!(found_files.hidden, [at("2024-05-01/.15-0000000008.csv.part-1-2")]);
        let nowhere = template("nowhere/{date}/{epoch}.csv");
        assert!(nowhere.look(&Disk).expect("looked").files.is_empty());
    }
}
