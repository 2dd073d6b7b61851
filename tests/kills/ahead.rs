//! Files that the killed run had not begun: one that is gone, has come or was rewritten is told, and a run that is refused harms nothing.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::command::{run, text, tidemill};
use super::packers;
use super::rig::{files, newest};

/// The input comes in so many files, each more than may wait for a sink that stands still.
const FILES: usize = 8;

/// Records of each.
const RECORDS: u64 = 1000;

/// Characters of a record that mean nothing.
const LONG: usize = 5000;

const HEADER: &str = "t,s,v,note\n";

/// A kind of input: how its files are named in the pipeline and in their folder, how they are packed, and whether it is recorded.
pub(crate) struct Kind {
    pub(crate) path: &'static str,
    pub(crate) extension: &'static str,
    pub(crate) pack: fn(&str) -> Vec<u8>,
    pub(crate) is_recorded: bool,
}

fn plain(text: &str) -> Vec<u8> {
    text.into()
}

fn packed(text: &str) -> Vec<u8> {
    packers::gz(text.as_bytes())
}

/// In two files of an archive.
fn archive(text: &str) -> Vec<u8> {
    let (records, other) =
        text.split_at(text.match_indices('\n').nth(RECORDS as usize / 2).expect("a line").0 + 1);
    packers::zip(&[("a.csv", records.as_bytes()), ("b.csv", format!("{HEADER}{other}").as_bytes())])
}

const LIST: &str =
    "['in/0.csv', 'in/1.csv', 'in/2.csv', 'in/3.csv', 'in/4.csv', 'in/5.csv', 'in/6.csv', 'in/7.csv']";

pub(crate) const KINDS: [Kind; 5] = [
    Kind { path: "'in/*.csv'", extension: "csv", pack: plain, is_recorded: false },
    Kind { path: "'in'", extension: "csv", pack: plain, is_recorded: true },
    Kind { path: LIST, extension: "csv", pack: plain, is_recorded: false },
    Kind { path: "'in/*'", extension: "csv.gz", pack: packed, is_recorded: false },
    Kind { path: "'in/*.zip'", extension: "zip", pack: archive, is_recorded: false },
];

/// The records of file `at`.
fn csv(at: usize) -> String {
    let (mut text, note) = (String::from(HEADER), "x".repeat(LONG));
    for record in 0..RECORDS {
        let second = at as u64 * RECORDS + record;
        let (hour, minute) = (second / 3600, second / 60 % 60);
        writeln!(
            text,
            "2024-05-01T{hour:02}:{minute:02}:{:02}Z,s{},{},{note}",
            second % 60,
            record % 7,
            record % 100
        )
        .expect("room");
    }
    text
}

const MADE: &str = "made.rec";

impl Kind {
    fn arguments(&self) -> Vec<&str> {
        let recorded: &[&str] = if self.is_recorded { &["--record", MADE] } else { &[] };
        let run = ["run", "p.toml", "--threads", "1", "--state", "state", "--checkpoint-every", "1ms"];
        [&run, recorded].concat()
    }

    /// The name of file `at`.
    fn name(&self, at: usize) -> String {
        format!("in/{at}.{}", self.extension)
    }

    fn prepare(&self, folder: &Path) {
        std::fs::create_dir(folder.join("in")).expect("a folder");
        for at in 0..FILES {
            std::fs::write(folder.join(self.name(at)), (self.pack)(&csv(at))).expect("written");
        }
        let pipeline = format!(
            "[source]\ntype = 'csv'\npath = {}\ntime = 't'\nsensor = 's'\n[[stage]]\ntype = 'moving_average'\nwindow = 3\n\
             [[sink]]\ntype = 'csv'\npath = 'out/out.csv'\n[[sink]]\ntype = 'csv'\npath = '-'\n",
            self.path
        );
        std::fs::write(folder.join("p.toml"), pipeline).expect("written");
    }

    /// A run that was killed when it had a checkpoint behind its first file and a part of its second; what it writes to standard output holds it up. Gives the ordinal
    /// of a file that it had not begun.
    fn kill(&self, folder: &Path) -> usize {
        let mut child =
            tidemill(folder).args(self.arguments()).stdout(Stdio::piped()).spawn().expect("started");
        let mut output = child.stdout.take().expect("piped");
        let mut piece = vec![0; 64 << 10];
        while newest(folder).is_none_or(|manifest| manifest.records <= RECORDS) {
            assert!(
                output.read(&mut piece).expect("read") > 0,
                "the run has ended before it had a checkpoint"
            );
            // The disk may be slow.
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().expect("killed");
        child.wait().expect("an end");
        // It may have left one checkpoint too many, which any run that looks at them removes.
        let mut kept: Vec<_> = files(&folder.join("state")).into_keys().collect();
        kept.retain(|name| name.starts_with("checkpoint-"));
        for old in kept.iter().rev().skip(3) {
            std::fs::remove_file(folder.join("state").join(old)).expect("removed");
        }
        let begun = newest(folder).expect("a checkpoint").records / RECORDS;
        let ahead = begun as usize + 2;
        assert!(ahead + 1 < FILES, "the run was killed too late");
        ahead
    }

    /// Has a run refused, which says `what`, and changes neither checkpoints nor recording.
    fn refuse(&self, folder: &Path, what: &[&str]) {
        let left = || {
            let mut state = files(&folder.join("state"));
            // Each run that takes the folder raises its number, and says who it is.
            ["run", "lock"].iter().for_each(|own| drop(state.remove(*own)));
            (state, std::fs::read(folder.join(MADE)).ok())
        };
        let before = left();
        let ended = run(folder, &self.arguments());
        let said = text(&ended.stderr);
        assert!(
            !ended.status.success() && what.iter().all(|what| said.contains(what)),
            "{}: {said}",
            self.path
        );
        assert!(left() == before, "{}", self.path);
    }
}

/// Kills a run, changes what it has not begun in all ways, and at last goes on with what was there.
pub(crate) fn story(folder: &Path, kind: &Kind) {
    kind.prepare(folder);
    let whole = run(folder, &["run", "p.toml", "--quiet"]);
    assert!(whole.status.success(), "{}", text(&whole.stderr));
    let expected = files(&folder.join("out"));
    std::fs::remove_dir_all(folder.join("out")).expect("removed");
    let ahead = kind.kill(folder);
    let (name, path) = (kind.name(ahead), folder.join(kind.name(ahead)));
    let bytes = std::fs::read(&path).expect("a file");

    std::fs::rename(&path, folder.join("aside")).expect("moved");
    kind.refuse(folder, &[&name]);
    std::fs::rename(folder.join("aside"), &path).expect("moved");

    // A plain file is looked at where it begins and where it ends.
    let rewritten = csv(ahead).replace(",s0,0,", ",s0,9,");
    std::fs::write(&path, (kind.pack)(&rewritten)).expect("written");
    kind.refuse(
        folder,
        &[&format!("`{name}` is a different file than at the checkpoint"), "--accept changes"],
    );
    std::fs::write(&path, [&bytes[..], b"\n"].concat()).expect("written");
    kind.refuse(folder, &[&name]);
    std::fs::write(&path, &bytes).expect("written");

    if kind.path != LIST {
        for new in [format!("in/{ahead}5.{}", kind.extension), format!("in/00.{}", kind.extension)] {
            std::fs::write(folder.join(&new), (kind.pack)(&csv(0))).expect("written");
            kind.refuse(folder, &["is new since the checkpoint", &new]);
            std::fs::remove_file(folder.join(&new)).expect("removed");
        }
    }

    let ended = run(folder, &kind.arguments());
    assert!(ended.status.success(), "{}: {}", kind.path, text(&ended.stderr));
    assert!(text(&ended.stderr).contains("resumed from"), "{}", kind.path);
    assert!(files(&folder.join("out")) == expected, "{}", kind.path);
    if kind.is_recorded {
        std::fs::remove_dir_all(folder.join("out")).expect("removed");
        let again = run(folder, &["replay", "p.toml", "--from", MADE, "--quiet"]);
        assert!(again.status.success() && files(&folder.join("out")) == expected, "{}", text(&again.stderr));
    }
}

/// What has changed is read as it is now where that was accepted, and said; what is gone is done without.
pub(crate) fn accepted(folder: &Path, kind: &Kind) {
    kind.prepare(folder);
    let ahead = kind.kill(folder);
    let [read, gone, other] = [0, ahead, FILES - 1].map(|at| kind.name(at));
    [&read, &gone].into_iter().for_each(|name| std::fs::remove_file(folder.join(name)).expect("removed"));
    let packed = |text: &str| (kind.pack)(text);
    std::fs::write(folder.join(&other), packed(&csv(0))).expect("written");
    let come = (kind.path != LIST).then(|| format!("in/00.{}", kind.extension));
    if let Some(new) = &come {
        std::fs::write(folder.join(new), packed(&csv(1))).expect("written");
    }
    let ended = run(folder, &[&kind.arguments()[..], &["--accept", "changes"]].concat());
    let said = text(&ended.stderr);
    assert!(ended.status.success(), "{}: {said}", kind.path);
    let part = if kind.extension == "zip" { "/a.csv" } else { "" };
    let mut expected = vec![
        format!("{read}{part}: was read before the checkpoint"),
        format!("{gone}: is not read, because it was removed"),
        format!("{other}: is read as it is now"),
    ];
    expected.extend(come.as_ref().map(|new| format!("{new}: is read ")));
    expected.iter().for_each(|line| assert!(said.contains(line), "{}: no `{line}` in {said}", kind.path));
    let records = text(&files(&folder.join("out"))["out.csv"]).lines().count() as u64 - 1;
    assert_eq!(records, (FILES as u64 - 1 + u64::from(come.is_some())) * RECORDS, "{}", kind.path);
}
