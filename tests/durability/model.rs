//! A disk that forgets: a file system in memory that keeps what was made durable, and of everything else what it pleases.
//!
//! Rules, harsher than those of the file systems that people use:
//! - Bytes written since the last successful `sync` of their file are there after a loss of power, or not, or torn: every write by
//!   itself, the blocks of a write by themselves; the size likewise.
//! - A name given or taken since the last `sync_folder` of its folder is there, or not: every one by itself. A rename is done or
//!   undone as one, and what it names is the file with what was durable of it.
//! - A `sync` that fails has thrown away what it should have kept; a later one that succeeds does not bring it back.
//!
//! Calls are counted. At one of them a fault can be put, or the power can be cut: then all later ones fail, and
//! [`Model::power_on`] gives a disk with what has survived.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, ErrorKind};
use std::path::{Component, Path};
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tidemill::files::{Access, FileHandle, FileSystem, FileType};

/// What is written or lost in one piece.
const BLOCK: usize = 16;

/// What goes wrong at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The device does.
    Io,
    /// There is no room.
    Full,
    /// Only half of the bytes are written, without an error. Other calls than writes are as ever.
    Short,
    /// The power is cut: this call and all later ones do nothing.
    Power,
}

/// At which call what goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) call: usize,
    pub(crate) fault: Fault,
    /// At all later ones too.
    pub(crate) for_good: bool,
}

/// The disk.
#[derive(Clone, Debug)]
pub(crate) struct Model(Arc<Mutex<Disk>>);

#[derive(Clone, Debug, Default)]
struct Disk {
    nodes: Vec<Node>,
    calls: usize,
    plan: Option<Plan>,
    /// What was called, for messages.
    log: Vec<String>,
    is_locked: bool,
}

#[derive(Clone, Debug)]
enum Node {
    File { now: Vec<u8>, durable: Vec<u8>, pending: Vec<Change> },
    Folder { now: Names, durable: Names, pending: Vec<Renaming> },
}

type Names = BTreeMap<OsString, usize>;

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Size(usize),
}

#[derive(Clone, Debug)]
enum Renaming {
    Made(OsString, usize),
    Gone(OsString),
    Moved(OsString, OsString, usize),
}

#[derive(Debug)]
struct Handle {
    model: Model,
    name: String,
    node: usize,
    _lock: Option<Lock>,
}

#[derive(Debug)]
struct Lock(Model);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.0.lock().expect("no panic").is_locked = false;
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Size(size) => bytes.resize(*size, 0),
            Self::Write(place, new) => {
                bytes.resize(bytes.len().max(place + new.len()), 0);
                bytes[*place..place + new.len()].copy_from_slice(new);
            }
        }
    }

    /// What is left of it after a loss of power: all, nothing, or some.
    fn survive(&self, bytes: &mut Vec<u8>, random: &mut StdRng) {
        match (random.random_range(0..4), self) {
            (0, _) => {}
            // Torn: the size is new, and some blocks are.
            (1, Self::Write(place, new)) => {
                bytes.resize(bytes.len().max(place + new.len()), 0);
                for (at, block) in new.chunks(BLOCK).enumerate().filter(|_| random.random_bool(0.5)) {
                    Self::Write(place + at * BLOCK, block.to_vec()).apply(bytes);
                }
            }
            // Torn: the beginning is there.
            (2, Self::Write(place, new)) => {
                let length = random.random_range(0..=new.len());
                Self::Write(*place, new[..length].to_vec()).apply(bytes);
            }
            _ => self.apply(bytes),
        }
    }
}

impl Renaming {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Made(name, node) => drop(names.insert(name.clone(), *node)),
            Self::Gone(name) => drop(names.remove(name)),
            Self::Moved(from, to, node) => {
                if names.get(from) == Some(node) {
                    names.remove(from);
                }
                names.insert(to.clone(), *node);
            }
        }
    }
}

impl Node {
    fn file() -> Self {
        Self::File { now: Vec::new(), durable: Vec::new(), pending: Vec::new() }
    }

    fn folder() -> Self {
        Self::Folder { now: Names::new(), durable: Names::new(), pending: Vec::new() }
    }

    /// What is left of it after a loss of power.
    fn survive(&mut self, random: &mut StdRng) {
        match self {
            Self::File { now, durable, pending } => {
                pending.drain(..).for_each(|change| change.survive(durable, random));
                now.clone_from(durable);
            }
            Self::Folder { now, durable, pending } => {
                let lucky = pending.drain(..).filter(|_| random.random_bool(0.5));
                lucky.for_each(|renaming| renaming.apply(durable));
                now.clone_from(durable);
            }
        }
    }
}

impl Disk {
    /// Counts a call; what is wrong with it.
    fn call(&mut self, what: impl FnOnce() -> String) -> io::Result<Option<Fault>> {
        let at = self.calls;
        self.calls += 1;
        self.log.push(what());
        let plan = self.plan.filter(|plan| {
            plan.call == at || plan.call < at && (plan.for_good || plan.fault == Fault::Power)
        });
        match plan.map(|plan| plan.fault) {
            Some(Fault::Power | Fault::Io) => Err(io::Error::from_raw_os_error(5)),
            Some(Fault::Full) => Err(io::Error::from_raw_os_error(28)),
            fault => Ok(fault),
        }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        path.components().try_fold(0, |node, component| match (component, &self.nodes[node]) {
            (Component::Normal(name), Node::Folder { now, .. }) => {
                now.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
            }
            (Component::Normal(_), Node::File { .. }) => Err(ErrorKind::NotADirectory.into()),
            _ => Ok(node),
        })
    }

    fn file(&mut self, path: &Path) -> io::Result<usize> {
        let node = self.find(path)?;
        match &self.nodes[node] {
            Node::File { .. } => Ok(node),
            Node::Folder { .. } => Err(ErrorKind::IsADirectory.into()),
        }
    }

    /// Changes the names in the folder of `path`.
    fn rename(&mut self, path: &Path, renaming: Renaming) -> io::Result<()> {
        let folder = self.find(path.parent().expect("a folder"))?;
        match &mut self.nodes[folder] {
            Node::Folder { now, pending, .. } => {
                renaming.apply(now);
                pending.push(renaming);
                Ok(())
            }
            Node::File { .. } => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn add(&mut self, path: &Path, node: Node) -> io::Result<usize> {
        self.nodes.push(node);
        let at = self.nodes.len() - 1;
        self.rename(path, Renaming::Made(name(path), at))?;
        Ok(at)
    }

    fn change(&mut self, node: usize, change: Change) {
        if let Node::File { now, pending, .. } = &mut self.nodes[node] {
            change.apply(now);
            pending.push(change);
        }
    }

    fn bytes(&self, node: usize) -> &[u8] {
        match &self.nodes[node] {
            Node::File { now, .. } => now,
            Node::Folder { .. } => &[],
        }
    }
}

fn name(path: &Path) -> OsString {
    path.file_name().map(OsStr::to_owned).expect("a name")
}

impl Model {
    /// An empty disk, on which something goes wrong as `plan` says.
    pub(crate) fn new(plan: Option<Plan>) -> Self {
        Self(Arc::new(Mutex::new(Disk { nodes: vec![Node::folder()], plan, ..Disk::default() })))
    }

    /// The disk for a process that is started anew, on which `plan` holds from now on.
    pub(crate) fn restart(&self, plan: Option<Plan>) -> Self {
        let disk = self.0.lock().expect("no panic");
        let nodes = disk.nodes.clone();
        Self(Arc::new(Mutex::new(Disk { nodes, plan, ..Disk::default() })))
    }

    /// The disk after a loss of power just now: what has survived depends on `random`.
    pub(crate) fn power_on(&self, random: &mut StdRng, plan: Option<Plan>) -> Self {
        let after = self.restart(plan);
        after.0.lock().expect("no panic").nodes.iter_mut().for_each(|node| node.survive(random));
        after
    }

    /// How many calls there have been.
    pub(crate) fn calls(&self) -> usize {
        self.0.lock().expect("no panic").calls
    }

    /// What call `at` was.
    pub(crate) fn call(&self, at: usize) -> String {
        self.0.lock().expect("no panic").log.get(at).cloned().unwrap_or_default()
    }

    /// The files in a folder, as they are now; nothing of this is counted.
    pub(crate) fn files(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let disk = self.0.lock().expect("no panic");
        let Ok(node) = disk.find(Path::new(folder)) else { return BTreeMap::new() };
        let Node::Folder { now, .. } = &disk.nodes[node] else { return BTreeMap::new() };
        let file = |(name, &node): (&OsString, &usize)| {
            (name.to_string_lossy().into_owned(), disk.bytes(node).to_vec())
        };
        now.iter().map(file).collect()
    }

    /// Something else changes the bytes of a file.
    pub(crate) fn damage(&self, path: &str, damage: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.0.lock().expect("no panic");
        let node = disk.file(Path::new(path)).expect("a file");
        if let Node::File { now, durable, .. } = &mut disk.nodes[node] {
            damage(now);
            durable.clone_from(now);
        }
    }

    fn with<T>(
        &self,
        what: impl FnOnce() -> String,
        act: impl FnOnce(&mut Disk, Option<Fault>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut disk = self.0.lock().expect("no panic");
        let fault = disk.call(what)?;
        act(&mut disk, fault)
    }

    fn handle(&self, path: &Path, node: usize) -> Arc<dyn FileHandle> {
        Arc::new(Handle { model: self.clone(), name: path.display().to_string(), node, _lock: None })
    }
}

/// A generator for `seed`.
pub(crate) fn random(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

impl FileSystem for Model {
    fn kind(&self, path: &Path) -> io::Result<FileType> {
        self.with(
            || format!("kind {}", path.display()),
            |disk, _| {
                let node = disk.find(path)?;
                Ok(if matches!(disk.nodes[node], Node::File { .. }) {
                    FileType::File
                } else {
                    FileType::Folder
                })
            },
        )
    }

    fn make_folder(&self, path: &Path, _is_private: bool) -> io::Result<()> {
        self.with(
            || format!("make_folder {}", path.display()),
            |disk, _| {
                let mut ways: Vec<_> = path.ancestors().collect();
                ways.reverse();
                for path in ways {
                    if disk.find(path).is_err() {
                        disk.add(path, Node::folder())?;
                    }
                }
                Ok(())
            },
        )
    }

    fn create(&self, path: &Path, _access: Access) -> io::Result<Arc<dyn FileHandle>> {
        let node = self.with(
            || format!("create {}", path.display()),
            |disk, _| match disk.file(path) {
                Ok(_) => Err(ErrorKind::AlreadyExists.into()),
                Err(error) if error.kind() == ErrorKind::NotFound => disk.add(path, Node::file()),
                Err(error) => Err(error),
            },
        )?;
        Ok(self.handle(path, node))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        let node = self.with(|| format!("open {}", path.display()), |disk, _| disk.file(path))?;
        Ok(self.handle(path, node))
    }

    fn open_own(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        self.open(path)
    }

    fn check_own_folder(&self, path: &Path) -> io::Result<()> {
        self.kind(path).map(drop)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.with(
            || format!("read {}", path.display()),
            |disk, _| {
                let node = disk.file(path)?;
                Ok(disk.bytes(node).to_vec())
            },
        )
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        assert_eq!(from.parent(), to.parent(), "nothing is moved between folders");
        self.with(
            || format!("rename {} to {}", from.display(), to.display()),
            |disk, _| {
                let node = disk.file(from)?;
                disk.rename(from, Renaming::Moved(name(from), name(to), node))
            },
        )
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.kind(to) {
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(_) => self.rename(from, to),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.with(
            || format!("remove {}", path.display()),
            |disk, _| {
                disk.file(path)?;
                disk.rename(path, Renaming::Gone(name(path)))
            },
        )
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.with(
            || format!("names {}", folder.display()),
            |disk, _| {
                let node = disk.find(folder)?;
                match &disk.nodes[node] {
                    Node::Folder { now, .. } => Ok(now.keys().cloned().collect()),
                    Node::File { .. } => Err(ErrorKind::NotADirectory.into()),
                }
            },
        )
    }

    fn lock(&self, path: &Path) -> io::Result<Arc<dyn FileHandle>> {
        let node = self.with(
            || format!("lock {}", path.display()),
            |disk, _| {
                if std::mem::replace(&mut disk.is_locked, true) {
                    return Err(ErrorKind::WouldBlock.into());
                }
                disk.find(path).or_else(|_| disk.add(path, Node::file()))
            },
        )?;
        let (name, lock) = (path.display().to_string(), Some(Lock(self.clone())));
        Ok(Arc::new(Handle { model: self.clone(), name, node, _lock: lock }))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.with(
            || format!("sync_folder {}", folder.display()),
            |disk, _| {
                let node = disk.find(folder)?;
                if let Node::Folder { now, durable, pending } = &mut disk.nodes[node] {
                    pending.clear();
                    durable.clone_from(now);
                }
                Ok(())
            },
        )
    }
}

impl FileHandle for Handle {
    fn write_at(&self, bytes: &[u8], place: u64) -> io::Result<usize> {
        self.model.with(
            || format!("write {} ({} bytes at {place})", self.name, bytes.len()),
            |disk, fault| {
                let length = if fault == Some(Fault::Short) { bytes.len() / 2 } else { bytes.len() };
                disk.change(self.node, Change::Write(place as usize, bytes[..length].to_vec()));
                Ok(length)
            },
        )
    }

    fn read_at(&self, buffer: &mut [u8], place: u64) -> io::Result<usize> {
        self.model.with(
            || format!("read {} at {place}", self.name),
            |disk, _| {
                let bytes = disk.bytes(self.node).get(place as usize..).unwrap_or_default();
                let length = bytes.len().min(buffer.len());
                buffer[..length].copy_from_slice(&bytes[..length]);
                Ok(length)
            },
        )
    }

    fn size(&self) -> io::Result<u64> {
        self.model.with(|| format!("size of {}", self.name), |disk, _| Ok(disk.bytes(self.node).len() as u64))
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.model.with(
            || format!("truncate {} to {size}", self.name),
            |disk, _| {
                disk.change(self.node, Change::Size(size as usize));
                Ok(())
            },
        )
    }

    fn sync(&self) -> io::Result<()> {
        let synced = self.model.with(|| format!("sync {}", self.name), |_, _| Ok(()));
        let mut disk = self.model.0.lock().expect("no panic");
        let has_power = disk.plan.is_none_or(|plan| plan.fault != Fault::Power);
        if let Node::File { durable, pending, .. } = &mut disk.nodes[self.node] {
            match synced.is_ok() {
                true => pending.drain(..).for_each(|change| change.apply(durable)),
                false if has_power => pending.clear(),
                false => {}
            }
        }
        synced
    }
    fn hold(&self) -> io::Result<()> {
        Ok(())
    }

    fn has_name(&self, name: &Path) -> io::Result<bool> {
        let mut disk = self.model.0.lock().expect("no panic");
        Ok(disk.file(name).is_ok_and(|node| node == self.node))
    }
}
