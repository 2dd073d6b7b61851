//! Mutates bytes, runs what reads them, and sees that it ends.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tidemill::{Error, ErrorKind, Pipeline, Report, RunOptions};

use super::seed::{seed, variable};

/// Mutations in all, if `TIDEMILL_MUTATIONS` does not say otherwise.
const MUTATIONS: u64 = 1000;

/// Whoever takes longer than this over a few kilobytes hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is mutated, and who judges what becomes of it.
pub(crate) trait Bench: Send + 'static {
    /// Mutates something and runs it.
    ///
    /// # Errors
    /// What is wrong with the outcome.
    fn once(&mut self, random: &mut StdRng) -> Result<Outcome, String>;
}

/// How a run over something damaged has ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// With what is right.
    Right,
    /// Something is missing, and counted.
    Counted,
    /// With an error that names the file.
    Refused,
}

/// Lets `bench` have its `share` in percent of all mutations. Every one has a seed of its own, with which it can be had alone.
pub(crate) fn campaign(share: u64, mut bench: impl Bench) {
    let wanted = (variable("TIDEMILL_MUTATIONS").unwrap_or(MUTATIONS) * share).div_ceil(100);
    let seed = seed();
    println!("{wanted} mutations");
    let (start, (sender, receiver)) = (Instant::now(), channel());
    let worker = move || {
        for at in 0..wanted {
            let mut random = StdRng::seed_from_u64(seed.wrapping_add(at));
            let outcome = catch_unwind(AssertUnwindSafe(|| bench.once(&mut random)));
            let outcome = outcome.unwrap_or_else(|panic| Err(format!("a panic: {}", said(&*panic))));
            if sender.send(outcome).is_err() {
                return;
            }
        }
    };
    // Should it hang, nobody waits for it.
    let _detached = std::thread::Builder::new().spawn(worker).expect("a thread");
    let mut outcomes: BTreeMap<Outcome, u64> = BTreeMap::new();
    for at in 0..wanted {
        let told = format!("mutation {at}, TIDEMILL_SEED={}", seed.wrapping_add(at));
        match receiver.recv_timeout(PATIENCE) {
            Ok(Ok(outcome)) => *outcomes.entry(outcome).or_default() += 1,
            Ok(Err(wrong)) => panic!("{told}: {wrong}"),
            Err(RecvTimeoutError::Timeout) => panic!("{told}: it hangs"),
            Err(RecvTimeoutError::Disconnected) => panic!("{told}: the thread is gone"),
        }
    }
    println!("{wanted} mutations in {:.1?}: {outcomes:?}", start.elapsed());
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|&text| text.to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Other bytes: one to three places flipped, replaced, cut out, doubled or inserted, or the end cut off.
pub(crate) fn mutated(bytes: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut mutated = bytes.to_vec();
    while mutated == bytes {
        for _ in 0..[1, 1, 1, 2, 3][random.random_range(0..5)] {
            mutate(&mut mutated, random);
        }
    }
    mutated
}

fn mutate(bytes: &mut Vec<u8>, random: &mut StdRng) {
    if bytes.is_empty() {
        bytes.push(random.random());
        return;
    }
    let at = random.random_range(0..bytes.len());
    let longest = if random.random_range(0..4) == 0 { bytes.len() } else { 16 };
    let end = (at + random.random_range(1..=longest)).min(bytes.len());
    match random.random_range(0..7) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..end)),
        2 => {
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
        3 => {
            let piece: Vec<u8> = (at..end.min(at + 16)).map(|_| random.random()).collect();
            bytes.splice(at..at, piece);
        }
        4 => bytes[at] = random.random(),
        _ => bytes[at] ^= 1 << random.random_range(0..8),
    }
}

/// Runs the pipeline file at `path`, on one thread or several.
///
/// # Errors
/// What the run says.
pub(crate) fn run(path: &Path, options: RunOptions, random: &mut StdRng) -> Result<Report, Error> {
    let threads = Some(random.random_range(1..=3));
    let options = RunOptions { threads, ..options };
    Pipeline::load(path).and_then(|pipeline| pipeline.run_with(&options, &mut ()))
}

/// An error is right where it names the file that was damaged, which `name` is a part of, and no panic that the run has caught.
///
/// # Errors
/// What it says instead.
pub(crate) fn refused(error: &Error, name: &str) -> Result<Outcome, String> {
    match error.to_string() {
        told if error.kind() == ErrorKind::Internal => Err(format!("an internal error: {told}")),
        told if told.contains(name) => Ok(Outcome::Refused),
        told => Err(format!("an error that does not name {name}: {told}")),
    }
}

/// Bytes of a file, none where there is none.
pub(crate) fn bytes(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_default()
}

/// Writes a file.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    std::fs::write(path, bytes).expect("written");
}
