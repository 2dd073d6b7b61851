//! What is run, where its sinks write, and how they are judged.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::sinks::{Evidence, SinkSetup, sinks};
use crate::cli::args::{ChaosArgs, FileArgs};
use crate::cli::failure::Outcome;
use crate::cli::{interrupt, load, output, replay};
use tidemill_core::error::{Error, Result};
use tidemill_core::time::{Clock, parse_duration};
use tidemill_engine::chaos::{FaultKind, Plan, output_in, overrides};
use tidemill_engine::pipeline::Pipeline;

/// The number of pieces into which the input is cut, about: faults begin between two of them.
const PIECES: u64 = 400;

/// The run without faults.
pub(super) const QUIET: &str = "quiet";

/// The run with them.
pub(super) const CHAOS: &str = "chaos";

/// A chaos run before it begins.
pub(super) struct Setup {
    pub(super) seed: u64,
    pub(super) kinds: Vec<FaultKind>,
    /// The time over which the input is spread.
    pub(super) spread: Duration,
    pub(super) sinks: Vec<SinkSetup>,
    /// What each process is called with.
    pub(super) file: FileArgs,
    pub(super) checkpoint_every: Duration,
    pub(super) threads: Option<u16>,
    /// Set when the user asks to stop.
    pub(super) stop: Arc<AtomicBool>,
    pipeline: Pipeline,
    chunk_size: usize,
    is_live: bool,
    folder: Folder,
}

/// The folder of everything that is written.
enum Folder {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Setup {
    pub(super) fn new(args: &ChaosArgs) -> Outcome<Self> {
        if args.pipeline.file == Path::new("-") {
            return Err(Error::usage(
                "a chaos run reads its pipeline file more than once, and standard input only once",
            )
            .with_help("write the pipeline to a file")
            .into());
        }
        let file = played(args)?;
        let resolved = load::pipeline(&file)?;
        let pipeline = resolved.pipeline.clone();
        check(&pipeline).map_err(|error| load::locate(&resolved, error))?;
        let sinks = sinks(&pipeline, args).map_err(|error| load::locate(&resolved, error))?;
        let random = || Clock::default().read().as_nanos().unsigned_abs() % 1_000_000_007;
        let kinds: Vec<_> = args.faults.iter().map(|&kind| kind.into()).collect();
        Ok(Self {
            seed: args.seed.unwrap_or_else(random),
            kinds: if kinds.is_empty() { FaultKind::ALL.to_vec() } else { kinds },
            spread: duration("--for", &args.spread)?,
            checkpoint_every: duration("--checkpoint-every", &args.checkpoint_every)?,
            sinks,
            file,
            threads: args.threads,
            stop: interrupt::stop_flag(),
            chunk_size: chunk_size(&pipeline),
            pipeline,
            is_live: args.live,
            folder: Folder::new(args.keep.as_deref())?,
        })
    }

    /// Says what will be written, before anything is.
    pub(super) fn tell(&self) {
        output::note(&format!("outputs, state and logs: {}", self.folder().display()));
        for sink in &self.sinks {
            let what = match sink.evidence {
                Evidence::File | Evidence::Files => {
                    "its files are in that folder, and compared with those of a run without faults"
                }
                Evidence::StandIn => {
                    "a stand-in keeps its records, which are compared with those of a run without faults"
                }
                Evidence::Acknowledgements => {
                    "its real target gets the records of one run, some of them more than once if it does not recognise them"
                }
                Evidence::Nothing => "nobody keeps what it writes: it is not judged",
            };
            output::note(&format!("{}: {}: {what}", sink.label, sink.promise.told));
        }
    }

    /// The plan of the run `name`, without faults.
    pub(super) fn plan(&self, name: &str) -> Plan {
        let folder = self.of(name);
        // The run without faults touches no real target.
        let needs_one = |sink: &SinkSetup| sink.is_outside && (sink.stands_in || name == QUIET);
        let stand_in = |(at, sink): (usize, &SinkSetup)| needs_one(sink).then(|| self.stand_in(name, at));
        Plan {
            schedule: Vec::new(),
            items: 0,
            pace: 0,
            chunk_size: self.chunk_size,
            is_live: self.is_live,
            journal: folder.join("journal"),
            stand_ins: self.sinks.iter().enumerate().map(stand_in).collect(),
        }
    }

    /// The folder of the run `name`.
    pub(super) fn of(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The overrides that put its files into its folder.
    pub(super) fn overrides(&self, name: &str) -> Vec<String> {
        overrides(&self.pipeline, &self.of(name))
    }

    /// The file, or the folder of the files, of sink `at` in the run `name`.
    pub(super) fn output(&self, name: &str, at: usize) -> PathBuf {
        output_in(&self.of(name), at, &*self.pipeline.sinks[at].spec).unwrap_or_else(|| self.of(name))
    }

    /// The file of the stand-in of sink `at` in the run `name`.
    pub(super) fn stand_in(&self, name: &str, at: usize) -> PathBuf {
        self.of(name).join(format!("sink {at} records"))
    }

    fn folder(&self) -> &Path {
        match &self.folder {
            Folder::Kept(folder) => folder,
            Folder::Temporary(folder) => folder.path(),
        }
    }
}

impl Folder {
    fn new(kept: Option<&Path>) -> Result<Self> {
        let Some(path) = kept else {
            let made = tempfile::Builder::new().prefix("tidemill-chaos-").tempdir();
            return made
                .map(Self::Temporary)
                .map_err(|error| Error::io("make", "a temporary folder", &error));
        };
        let failed = |error| Error::io("make", path.display(), &error);
        std::fs::create_dir_all(path).map_err(failed)?;
        match std::fs::read_dir(path).map_err(failed)?.next() {
            None => std::path::absolute(path).map(Self::Kept).map_err(failed),
            Some(_) => Err(Error::usage(format!("--keep {}: the folder is not empty", path.display()))
                .with_help("name a new one")),
        }
    }
}

/// The arguments for the pipeline file, with the recording in the place of its own input, if there is one.
fn played(args: &ChaosArgs) -> Outcome<FileArgs> {
    let mut file = args.pipeline.clone();
    if let Some(from) = &args.from {
        let own = load::spec(&file)?.resolve().ok().map(|own| own.pipeline);
        file.set.extend(replay::played(from, own.as_ref())?);
    }
    Ok(file)
}

/// Checks that the pipeline can be run twice with the same result, and resumed.
fn check(pipeline: &Pipeline) -> Result<()> {
    let traits = pipeline.traits();
    if !traits.is_bounded || !traits.is_replayable {
        return Err(Error::config("the input does not end, or cannot be read twice: nothing could be compared")
            .with_help("record some of it with `tidemill record` and give it with --from; or override the source: --set source.follow=false, --set 'source={ type = \"csv\", path = \"day.csv\" }'"));
    }
    pipeline.check_resumable()
}

/// Small enough for faults to begin at many places of the input.
fn chunk_size(pipeline: &Pipeline) -> usize {
    let outputs = pipeline.outputs();
    let bytes: u64 =
        pipeline.files(&outputs).filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).sum();
    usize::try_from(bytes / PIECES).unwrap_or(usize::MAX).clamp(1 << 8, 1 << 20)
}

fn duration(option: &str, text: &str) -> Result<Duration> {
    let nanos = parse_duration(text)
        .map_err(|why| Error::usage(format!("{option}: {why}")).with_help("such as 500ms, 20s or 5m"))?;
    Ok(Duration::from_nanos(nanos.unsigned_abs()))
}
