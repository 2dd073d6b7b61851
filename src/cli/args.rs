//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use tidemill_engine::source::Io;

/// One pipeline for sensor data: threshold, normalise, average, alert, write.
#[derive(Debug, Parser)]
#[command(name = "tidemill", version, max_term_width = 100, arg_required_else_help = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Run a pipeline file: to the end of its input, or until it is stopped
    Run(RunArgs),
    /// Check a pipeline file and say all that is wrong with it
    Validate(ValidateArgs),
    /// Keep the input of a pipeline as it comes in a file, and do nothing else with it
    Record(RecordArgs),
    /// Run a pipeline on a recording instead of its own input: the same bits as on the day
    Replay(ReplayArgs),
    /// Run a pipeline in many ways, live and stopped too, and say whether all of them give the same bytes
    Verify(VerifyArgs),
    /// Say what a pipeline would do, stage by stage
    Explain(ValidateArgs),
    /// Look at data files and write a first pipeline for them
    Init(InitArgs),
    /// List the sources, stages and sinks
    List,
    /// Print the JSON Schema of pipeline files, or of one component
    Schema(SchemaArgs),
    /// Run only the first passes and save what they learnt
    Fit(FitArgs),
    /// Write made-up readings of a plant, the same for the same seed
    Generate(GenerateArgs),
    /// Look at the folder of checkpoints of a run (`run --state`)
    #[command(subcommand)]
    State(StateVerb),
    /// Measure what this machine can do at best with a pipeline's input, and what share of it the pipeline reaches
    Roofline(RooflineArgs),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// A pipeline file and what is laid over it.
#[derive(Args, Clone, Debug)]
pub(super) struct FileArgs {
    /// The pipeline file; `-` reads it from standard input
    pub(super) file: PathBuf,
    /// Lay a value over the file, such as `stage.0.max=90`; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// Where the relative paths of the pipeline start; if not given, from the folder that the pipeline file lies in
    #[arg(long, value_name = "DIR")]
    pub(super) base: Option<PathBuf>,
}

/// More threads than this are a slip of the hand, and could take the machine down.
const MAX_THREADS: i64 = 1024;

/// How a pipeline is run.
#[derive(Args, Debug)]
pub(super) struct DriveArgs {
    /// How many threads work in parallel, 1 to 1024; as many as the machine has cores if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_THREADS))]
    pub(super) threads: Option<u16>,
    /// How input files are read
    #[arg(long, value_enum, default_value_t)]
    pub(super) io: IoArg,
    /// When to show how far the run has come: as a bar on a terminal, in lines elsewhere
    #[arg(long, value_enum, default_value_t)]
    pub(super) progress: When,
    /// Show neither progress nor summary
    #[arg(long, short)]
    pub(super) quiet: bool,
}

#[derive(Args, Debug)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) pipeline: FileArgs,
    #[command(flatten)]
    pub(super) drive: DriveArgs,
    /// Keep checkpoints in this folder, and go on from the last one: after a crash, a kill or a stop
    #[arg(long, value_name = "DIR")]
    pub(super) state: Option<PathBuf>,
    /// How often a checkpoint is made, at most
    #[arg(long, value_name = "DURATION", default_value = "1s", requires = "state")]
    pub(super) checkpoint_every: String,
    /// What may differ from the last checkpoint: `changes` of the pipeline, whose unchanged parts go on
    #[arg(long, value_enum, value_name = "WHAT", requires = "state")]
    pub(super) accept: Vec<Accept>,
    /// End the run that uses the state folder, also one that stands still, and go on in its place
    #[arg(long, requires = "state")]
    pub(super) take_over: bool,
    /// Read nothing more: what the run in the state folder has written gets its names
    #[arg(long, requires = "state")]
    pub(super) finish: bool,
    /// Write the summary, with all parameters and the version, as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Keep the input as it comes in this new file, to be played again with `tidemill replay`
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    /// Write a flame graph of the run, as a picture (SVG) for browsers; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(super) profile: Option<PathBuf>,
    /// Show where the time went: a record, by part, and what threads waited for
    #[arg(long)]
    pub(super) timings: bool,
}

#[derive(Args, Debug)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    pub(super) pipeline: FileArgs,
}

#[derive(Args, Debug)]
pub(super) struct RecordArgs {
    #[command(flatten)]
    pub(super) pipeline: FileArgs,
    #[command(flatten)]
    pub(super) drive: DriveArgs,
    /// The recording to write; must be new
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// The recording to play
    #[arg(long, value_name = "FILE")]
    pub(super) from: PathBuf,
    /// How fast: `max`, or how many times as fast as it came in, such as 1 or 60
    #[arg(long, value_name = "SPEED", default_value = "max")]
    pub(super) speed: String,
}

#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    pub(super) pipeline: FileArgs,
    /// How many random ways of each kind: bounded, live, stopped and resumed
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(super) rounds: u64,
    /// What the random sizes and places depend on; another one each time if not given
    #[arg(long, value_name = "S")]
    pub(super) seed: Option<u64>,
}

#[derive(Args, Debug)]
pub(super) struct InitArgs {
    /// The data files
    #[arg(required = true)]
    pub(super) data: Vec<PathBuf>,
    /// The pipeline file to write; standard output if not given, or `-`
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Overwrite the file if it is there
    #[arg(long, requires = "output")]
    pub(super) force: bool,
}

#[derive(Args, Debug)]
pub(super) struct SchemaArgs {
    /// A source, stage or sink; all of them if not given
    pub(super) component: Option<String>,
    /// Print a reference for people instead
    #[arg(long)]
    pub(super) markdown: bool,
}

#[derive(Args, Debug)]
pub(super) struct FitArgs {
    #[command(flatten)]
    pub(super) pipeline: FileArgs,
    #[command(flatten)]
    pub(super) drive: DriveArgs,
    /// Where to save the constants; standard output if not given, or `-`
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Which stage's constants, counted from 0, where several learn some
    #[arg(long, value_name = "N")]
    pub(super) stage: Option<usize>,
}

#[derive(Debug, Subcommand)]
pub(super) enum StateVerb {
    /// Say what the newest checkpoint holds: where the input was, what every part keeps, how much every sink has written
    Inspect(InspectArgs),
    /// Check that every checkpoint is whole, and that the output is there of which the newest one speaks
    Verify(VerifyStateArgs),
}

#[derive(Args, Debug)]
pub(super) struct InspectArgs {
    /// The folder
    pub(super) folder: PathBuf,
    /// Print JSON instead
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct VerifyStateArgs {
    /// The folder
    pub(super) folder: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct RooflineArgs {
    #[command(flatten)]
    pub(super) pipeline: FileArgs,
    #[command(flatten)]
    pub(super) drive: DriveArgs,
}

#[derive(Args, Debug)]
pub(super) struct GenerateArgs {
    /// How many sensors
    #[arg(long, value_name = "N")]
    pub(super) sensors: Option<u64>,
    /// How many records, over all sensors
    #[arg(long, value_name = "N")]
    pub(super) records: Option<u64>,
    /// What the readings depend on
    #[arg(long, value_name = "S")]
    pub(super) seed: Option<u64>,
    /// The file to write: .csv, .tsv, .jsonl or .parquet; `-` writes CSV to standard output
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: String,
    /// Any other option of the source `synthetic`; may be given several times
    #[arg(long = "set", value_name = "OPTION=VALUE")]
    pub(super) set: Vec<String>,
    #[command(flatten)]
    pub(super) drive: DriveArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum When {
    /// On a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Accept {
    /// Of the pipeline: changed parts begin anew, all others go on
    Changes,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum IoArg {
    /// Map where that is safe, read otherwise
    #[default]
    Auto,
    /// Map
    Mmap,
    /// Read
    Read,
}

impl From<IoArg> for Io {
    fn from(io: IoArg) -> Self {
        match io {
            IoArg::Auto => Self::Auto,
            IoArg::Mmap => Self::Mmap,
            IoArg::Read => Self::Read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
