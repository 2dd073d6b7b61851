//! A folder of checkpoints that stand on others, against a list of everything at every cut.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::chain::SMALL;
use super::names::name;
use super::retention::KEPT;
use super::*;
use crate::files::of_disk::of_disk;
use crate::files::{Access, Disk, FileHandle, FileSystem, FileType};
use crate::sensor::SensorNames;
use crate::stage::{Cut, CutKind, Pieces, in_one_piece};

/// What stages keep: a number by key.
type Keys = BTreeMap<u16, u32>;

/// A checkpoint as it should be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Everything {
    records: u64,
    names: SensorNames,
    keys: Keys,
    /// Of a stage that always gives all.
    whole: Vec<u8>,
}

/// What happens.
#[derive(Clone, Debug)]
enum Step {
    /// These keys get other numbers, sensors come and others get the ids of some, then a cut; whether the stage gives all though it was asked for changes.
    Cut { keys: Vec<u16>, new: usize, renamed: Vec<usize>, gives_all: bool },
    /// The run is killed, and another one begins.
    Restart,
    /// The same where one of the files is damaged, counted from the newest, or is gone.
    Damage { back: usize, at: prop::sample::Index, is_gone: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let keys = prop_oneof![
        8 => proptest::collection::vec(0..2000u16, 0..20),
        1 => proptest::collection::vec(0..2000u16, 1000),
    ];
    let renamed = proptest::collection::vec(0..400usize, 0..3);
    let cut = (keys, 0..3usize, renamed, proptest::bool::weighted(0.05))
        .prop_map(|(keys, new, renamed, gives_all)| Step::Cut { keys, new, renamed, gives_all });
    let damage = (0..12usize, any::<prop::sample::Index>(), any::<bool>())
        .prop_map(|(back, at, is_gone)| Step::Damage { back, at, is_gone });
    proptest::collection::vec(prop_oneof![20 => cut, 1 => Just(Step::Restart), 1 => damage], 1..60)
}

/// The run and what it should find.
pub(super) struct Bench {
    temporary: tempfile::TempDir,
    folder: StateFolder,
    small: u64,
    now: Everything,
    /// Keys that have changed since the last cut; `None` where that was none of this run.
    changed: Option<BTreeSet<u16>>,
    /// By ordinal.
    kept: BTreeMap<u64, Everything>,
    /// The files that were damaged, and are still there.
    damaged: BTreeSet<PathBuf>,
}

impl Bench {
    pub(super) fn new(small: u64) -> Self {
        Self::on(Arc::new(Disk), small)
    }

    fn on(files: Arc<dyn FileSystem>, small: u64) -> Self {
        let temporary = tempfile::tempdir().expect("a folder");
        let path = temporary.path().join("state");
        let mut folder = StateFolder::open(files, &path).expect("a folder");
        folder.small = small;
        let (now, kept) = (Everything::default(), BTreeMap::new());
        Self { temporary, folder, small, now, changed: None, kept, damaged: BTreeSet::new() }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.temporary.path().join("state")
    }

    pub(super) fn cut(&mut self, keys: Vec<u16>, new: usize, renamed: Vec<usize>, gives_all: bool) {
        let now = &mut self.now;
        now.records += 1;
        for key in keys {
            now.keys.insert(key, now.records as u32);
            self.changed.iter_mut().for_each(|changed| changed.extend([key]));
        }
        for at in 0..new {
            now.names.push(&format!("s{}-{at}", now.records));
        }
        for at in renamed.into_iter().filter(|&at| at < now.names.len()).collect::<Vec<_>>() {
            now.names.put(at, &format!("other-{}", now.records));
        }
        now.whole = now.records.to_le_bytes().to_vec();
        let of = |keys: Vec<u16>| -> Pieces {
            let pieces: Vec<_> = keys.into_iter().map(|key| Ok(encode(key, now.keys[&key]))).collect();
            Box::new(pieces.into_iter())
        };
        let first = match (self.folder.next_kind(), self.changed.replace(BTreeSet::new())) {
            (CutKind::Changes, Some(changed)) if !gives_all => {
                Cut { kind: CutKind::Changes, pieces: of(changed.into_iter().collect()) }
            }
            _ => Cut::complete(of(now.keys.keys().copied().collect())),
        };
        let stages = vec![first, Cut::complete(in_one_piece(now.whole.clone()))];
        let manifest = Manifest { records: now.records, sensors: now.names.clone(), ..manifest() };
        let ordinal = self.folder.newest() + 1;
        self.folder.keep(ordinal, manifest, stages, |_| Ok(())).expect("kept");
        self.kept.insert(ordinal, self.now.clone());
    }

    /// Begins anew from what is there.
    fn restart(&mut self) -> Result<(), crate::Error> {
        let expected = self.newest_intact();
        // Only one run may have the folder.
        let elsewhere = self.temporary.path().join("other");
        self.folder = StateFolder::open(Arc::new(Disk), &elsewhere).expect("another folder");
        self.folder = StateFolder::open(Arc::new(Disk), &self.path()).expect("the folder");
        self.folder.small = self.small;
        self.changed = None;
        let found = self.folder.load()?;
        assert_eq!(found.manifest.as_ref().map(|(_, path)| path.clone()), expected);
        self.now = found.manifest.map(|(manifest, _)| everything(&manifest)).unwrap_or_default();
        Ok(())
    }

    fn files(&self) -> Vec<(u64, PathBuf)> {
        let mut all = ordinals(&Disk, &self.path()).expect("a folder");
        all.sort_unstable();
        all
    }

    /// The ordinal of the file on which each stands that is there and was intact when it was written.
    fn base(&self, path: &Path) -> Option<PathBuf> {
        let bytes = std::fs::read(path).expect("a file");
        let ordinal = u64::from_le_bytes(bytes[12..20].try_into().expect("eight bytes"));
        (ordinal != 0).then(|| self.path().join(name(ordinal)))
    }

    /// Whether a file and all on which it stands are there as they were written.
    fn is_intact(&self, path: &Path) -> bool {
        if self.damaged.contains(path) || !path.exists() {
            return false;
        }
        self.base(path).is_none_or(|base| self.is_intact(&base))
    }

    fn newest_intact(&self) -> Option<PathBuf> {
        self.files().into_iter().rev().map(|(_, path)| path).find(|path| self.is_intact(path))
    }

    fn damage(&mut self, back: usize, at: prop::sample::Index, is_gone: bool) {
        let files = self.files();
        let Some((_, path)) = files.iter().rev().nth(back) else { return };
        match is_gone {
            true => std::fs::remove_file(path).expect("removed"),
            false => {
                let mut bytes = std::fs::read(path).expect("a file");
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << (at % 8);
                std::fs::write(path, bytes).expect("written");
                // Its damage may be where it says on what it stands.
                self.damaged.insert(path.clone());
            }
        }
    }

    /// What is there can be read, is what it was, and is no more than is needed.
    fn check(&self) {
        let files = self.files();
        let mut checkpoints = Checkpoints::new(&Disk);
        for (ordinal, path) in &files {
            match checkpoints.read(path) {
                Ok(manifest) => {
                    assert!(self.is_intact(path), "{}", path.display());
                    assert_eq!(everything(&manifest), self.kept[ordinal], "{}", path.display());
                }
                Err(error) => {
                    assert!(!self.is_intact(path), "{}: {error}", path.display());
                    let is_own = self.damaged.contains(path);
                    assert!(is_own || error.message().contains("its base"), "{error}");
                }
            }
        }
        if !self.damaged.is_empty() || files.iter().any(|(_, path)| !self.is_intact(path)) {
            return;
        }
        let alone: Vec<_> = files.iter().filter(|(_, path)| self.base(path).is_none()).collect();
        assert!(alone.len() <= KEPT, "{} stand alone", alone.len());
        assert!(files.first().is_none_or(|first| first == alone[0]), "the oldest stands alone");
        // Two that stand alone, and behind each less than that and one more.
        let size = |path: &PathBuf| std::fs::metadata(path).expect("a file").len();
        let most = files.iter().map(|(_, path)| size(path)).max().unwrap_or(0);
        if most <= self.small {
            assert!(files.len() <= KEPT, "{files:?}");
        }
        let all: u64 = files.iter().map(|(_, path)| size(path)).sum();
        assert!(all <= 6 * most, "{all} bytes, and the largest has {most}");
    }
}

fn encode(key: u16, value: u32) -> Vec<u8> {
    [&key.to_le_bytes()[..], &value.to_le_bytes()].concat()
}

/// What a checkpoint says that was read.
fn everything(manifest: &Manifest) -> Everything {
    let mut keys = Keys::new();
    for piece in manifest.stages[0].cuts().into_iter().flatten() {
        let piece = piece.expect("a piece");
        let (key, value) = (piece[..2].try_into().expect("two"), piece[2..].try_into().expect("four"));
        keys.insert(u16::from_le_bytes(key), u32::from_le_bytes(value));
    }
    let whole = manifest.stages[1].cuts().into_iter().flatten().map(|piece| piece.expect("a piece"));
    Everything {
        records: manifest.records,
        names: manifest.sensors.clone(),
        keys,
        whole: whole.flatten().collect(),
    }
}

pub(super) fn manifest() -> Manifest {
    Manifest {
        made: 1,
        ending: Ending::Running,
        pipeline: Vec::new(),
        key: [3; 32],
        records: 0,
        sources: Vec::new(),
        sensors: SensorNames::default(),
        stages: Vec::new(),
        sinks: Vec::new(),
        outputs: Vec::new(),
        counts: Vec::new(),
        orphans: Vec::new(),
        base: None,
    }
}

/// The disk, which checks after each removal that all checkpoints that are left are intact.
#[derive(Debug)]
struct Checked;

impl FileSystem for Checked {
    of_disk! { kind make_folder open open_own check_own_folder read rename rename_new names lock sync_folder }

    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn FileHandle>> {
        Disk.create(path, access)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)?;
        let mut checkpoints = Checkpoints::new(&Disk);
        for (_, left) in ordinals(&Disk, path.parent().expect("a folder"))? {
            checkpoints.read(&left).unwrap_or_else(|error| panic!("{path:?} removed: {left:?}: {error}"));
        }
        Ok(())
    }
}

#[test]
fn a_run_that_is_killed_while_it_removes_old_checkpoints_leaves_none_whose_base_is_gone() {
    let mut bench = Bench::on(Arc::new(Checked), 0);
    bench.cut((0..300).collect(), 9, Vec::new(), false);
    let most = (0..200).map(|round| {
        bench.cut(vec![round], 0, Vec::new(), false);
        ordinals(&Disk, &bench.path()).expect("a folder").len()
    });
    assert!(most.max() > Some(KEPT), "there were chains");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_checkpoint_that_is_kept_is_what_was_there_at_its_cut(
        steps in steps(), has_small in proptest::bool::weighted(0.2), sensors in 0..400usize,
    ) {
        let mut bench = Bench::new(if has_small { SMALL } else { 0 });
        bench.now.names = (0..sensors).map(|at| format!("sensor-{at}")).collect();
        let last = steps.len() - 1;
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Cut { keys, new, renamed, gives_all } => bench.cut(keys, new, renamed, gives_all),
                Step::Restart => bench.restart().expect("loaded"),
                Step::Damage { back, at, is_gone } => {
                    bench.damage(back, at, is_gone);
                    let (there, intact) = (bench.files().len(), bench.newest_intact());
                    if let Err(error) = bench.restart() {
                        prop_assert!(intact.is_none() && there > 0, "{}", error);
                        return Ok(());
                    }
                }
            }
            if at % 5 == 0 || at == last {
                bench.check();
            }
            let there: BTreeSet<_> = bench.files().into_iter().map(|(_, path)| path).collect();
            bench.damaged.retain(|path| there.contains(path));
        }
    }
}

#[test]
fn changes_are_what_is_written_and_now_and_then_everything() {
    let mut bench = Bench::new(SMALL);
    bench.now.names = (0..5000).map(|at| format!("a sensor with a name that is not short, {at}")).collect();
    let mut alone = 0;
    let mut written = 0;
    for at in 0..200_u16 {
        bench.cut((at..at + 20).collect(), 1, vec![usize::from(at)], false);
        let (_, path) = bench.files().pop().expect("a file");
        written += std::fs::metadata(&path).expect("a file").len();
        alone += usize::from(bench.base(&path).is_none());
        if at % 40 == 39 {
            bench.check();
        }
    }
    assert_eq!(alone, 200_usize.div_ceil(65), "one of 65");
    assert!(written < 200 * 5000 * 45 / 10, "{written} bytes");
    bench.restart().expect("loaded");
    bench.check();
}

#[test]
fn changes_since_a_cut_that_was_not_kept_are_refused() {
    let mut bench = Bench::new(0);
    bench.cut(vec![1], 1, vec![], false);
    let cut = || vec![Cut { kind: CutKind::Changes, pieces: in_one_piece(encode(1, 2)) }];
    let error = bench.folder.keep(3, manifest(), cut(), |_| Ok(())).expect_err("2 is missing");
    assert!(error.message().contains("was not written"), "{error}");
    let failing = |_: &mut Manifest| Err(crate::Error::internal("failed"));
    bench.folder.keep(3, manifest(), Vec::new(), failing).expect_err("failed");
    bench.folder.keep(4, manifest(), cut(), |_| Ok(())).expect_err("3 was not kept");
    bench.folder.keep(4, manifest(), Vec::new(), |_| Ok(())).expect("everything is kept");
    let (_, path) = bench.files().pop().expect("a file");
    assert_eq!(bench.base(&path), None);
}
