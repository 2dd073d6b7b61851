//! What can be said on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use tidemill_engine::chaos::FaultKind;
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
    /// Check a pipeline file and report all mistakes
    Validate(ValidateArgs),
    /// Record the input of a pipeline to a file, without processing it
    Record(RecordArgs),
    /// Run a pipeline on a recording instead of its own input: the output has the same bits
    Replay(ReplayArgs),
    /// Run a pipeline in many ways, including live and resumed, and check that all give the same bytes
    Verify(VerifyArgs),
    /// Run a pipeline while processes are killed, connections lost and a disk is full; report what was lost and what came twice
    Chaos(ChaosArgs),
    /// Describe what a pipeline would do, stage by stage
    Explain(ValidateArgs),
    /// Check every endpoint of a pipeline: name, connection, TLS, login, permission, topic or table
    Doctor(ValidateArgs),
    /// Inspect data files and write a first pipeline for them
    Init(InitArgs),
    /// List the sources, stages and sinks
    List,
    /// Print the JSON Schema of pipeline files, or of one component
    Schema(SchemaArgs),
    /// Run only the first passes and save the fitted constants
    Fit(FitArgs),
    /// Generate synthetic readings of a plant from a seed
    Generate(GenerateArgs),
    /// Ask a run that listens (`run --listen`) whether it is ready
    Health(HealthArgs),
    /// Inspect the state folder of a run (`run --state`)
    #[command(subcommand)]
    State(StateVerb),
    /// Show, check or deliver what sinks have not delivered (`run --state`)
    #[command(subcommand)]
    Outbox(OutboxVerb),
    /// Send repaired dead letters through a pipeline again
    Retry(RetryArgs),
    /// Measure this machine's limits for a pipeline's input, and how close the pipeline comes
    Roofline(RooflineArgs),
    /// Print the completion script for a shell
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
    /// Override a value of the file, such as `stage.0.max=90`; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// The folder from which relative paths of the pipeline start; by default, the folder of the pipeline file
    #[arg(long, value_name = "DIR")]
    pub(super) base: Option<PathBuf>,
}

/// More threads than this are a slip of the hand, and could take the machine down.
const MAX_THREADS: i64 = 1024;

/// How a pipeline is run.
#[derive(Args, Debug)]
pub(super) struct DriveArgs {
    /// Number of worker threads, 1 to 1024; by default, the number of cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_THREADS))]
    pub(super) threads: Option<u16>,
    /// How input files are read
    #[arg(long, value_enum, default_value_t)]
    pub(super) io: IoArg,
    /// When to show progress: as a bar on a terminal, in lines elsewhere
    #[arg(long, value_enum, default_value_t)]
    pub(super) progress: ProgressMode,
    /// Show neither progress nor summary
    #[arg(long, short)]
    pub(super) quiet: bool,
}

/// What is written to standard error, and how.
#[derive(Args, Debug)]
pub(super) struct LogArgs {
    /// How events, notes and errors are written to standard error
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub(super) log: LogFormat,
    /// The least important events that are written
    #[arg(long, value_enum, value_name = "LEVEL", default_value_t)]
    pub(super) log_level: LogLevel,
}

/// Where a run can be seen, and by whom.
#[derive(Args, Debug)]
pub(super) struct ListenArgs {
    /// Answer HTTP requests for /metrics, /ready and /live at this address, such as 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listen: Option<String>,
    /// The file with the token that requests must have (`Authorization: Bearer …`); by default, the environment variable TIDEMILL_LISTEN_TOKEN
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub(super) listen_token: Option<PathBuf>,
    /// A name of this machine that requests may use, besides `localhost` and addresses; may be given several times
    #[arg(long, value_name = "NAME", requires = "listen")]
    pub(super) listen_host: Vec<String>,
    /// Listen at an address that others can reach, without a token
    #[arg(long, requires = "listen")]
    pub(super) insecure: bool,
}

#[derive(Args, Debug)]
pub(super) struct HealthArgs {
    /// What to ask
    #[arg(default_value = "http://127.0.0.1:9464/ready")]
    pub(super) url: String,
    /// The file with the token; by default, the environment variable TIDEMILL_LISTEN_TOKEN
    #[arg(long, value_name = "FILE")]
    pub(super) listen_token: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) pipeline: FileArgs,
    #[command(flatten)]
    pub(super) drive: DriveArgs,
    #[command(flatten)]
    pub(super) log: LogArgs,
    #[command(flatten)]
    pub(super) listen: ListenArgs,
    /// Keep checkpoints in this folder, and resume from the last one after a crash, a kill or a stop
    #[arg(long, value_name = "DIR")]
    pub(super) state: Option<PathBuf>,
    /// Minimum time between two checkpoints
    #[arg(long, value_name = "DURATION", default_value = "1s", requires = "state")]
    pub(super) checkpoint_every: String,
    /// What may differ from the last checkpoint: `changes` of the pipeline or of the input files; unchanged parts resume
    #[arg(long, value_enum, value_name = "WHAT", requires = "state")]
    pub(super) accept: Vec<Accept>,
    /// Kill the run that uses the state folder, even if it is stopped, and resume in its place
    #[arg(long, requires = "state")]
    pub(super) take_over: bool,
    /// Read no more input: finish the run in the state folder and publish its output
    #[arg(long, requires = "state")]
    pub(super) finish: bool,
    /// Write the summary, with all parameters and the version, as JSON; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
    /// Record the input to this new file, for `tidemill replay`
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
    /// Write a flame graph of the run as SVG; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(super) profile: Option<PathBuf>,
    /// Show where the time went: per record, by part, and time spent waiting
    #[arg(long)]
    pub(super) timings: bool,
    /// The plan of a chaos run that this process is part of
    #[arg(long, value_name = "FILE", requires = "state", hide = true)]
    pub(super) chaos_plan: Option<PathBuf>,
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
    #[command(flatten)]
    pub(super) log: LogArgs,
    /// The recording to write; must be new
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: PathBuf,
}

#[derive(Args, Debug)]
pub(super) struct ReplayArgs {
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// The recording to replay
    #[arg(long, value_name = "FILE")]
    pub(super) from: PathBuf,
    /// The speed: `max`, or a multiple of the original speed, such as 1 or 60
    #[arg(long, value_name = "SPEED", default_value = "max")]
    pub(super) speed: String,
}

#[derive(Args, Debug)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    pub(super) pipeline: FileArgs,
    /// Number of random runs of each kind: bounded, live, stopped and resumed
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub(super) rounds: u64,
    /// Seed of the random sizes and positions; by default, another one each time
    #[arg(long, value_name = "S")]
    pub(super) seed: Option<u64>,
}

#[derive(Args, Debug)]
pub(super) struct ChaosArgs {
    #[command(flatten)]
    pub(super) pipeline: FileArgs,
    /// Read this recording instead of the pipeline's own input
    #[arg(long, value_name = "FILE")]
    pub(super) from: Option<PathBuf>,
    /// Read the input as live input is read
    #[arg(long)]
    pub(super) live: bool,
    /// Seed of the schedule of faults; by default, another one each time
    #[arg(long, value_name = "S")]
    pub(super) seed: Option<u64>,
    /// Number of faults, 0 to 10000
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u16).range(0..=10_000))]
    pub(super) count: u16,
    /// Kinds of faults, separated by commas; by default, all
    #[arg(long, value_enum, value_name = "KINDS", value_delimiter = ',')]
    pub(super) faults: Vec<FaultArg>,
    /// The time over which the input is spread
    #[arg(long = "for", value_name = "DURATION", default_value = "20s")]
    pub(super) spread: String,
    /// Minimum time between two checkpoints
    #[arg(long, value_name = "DURATION", default_value = "500ms")]
    pub(super) checkpoint_every: String,
    /// Replace every sink that does not write files by one that keeps its records, so that nothing outside is touched
    #[arg(long, conflicts_with = "yes")]
    pub(super) stand_ins: bool,
    /// Write to the real targets of the sinks
    #[arg(long)]
    pub(super) yes: bool,
    /// A command that prints how many records the target of a sink has, such as `0=psql -Atc "select count(*) from readings"`; may be given several times
    #[arg(long = "count-by", value_name = "SINK=COMMAND", requires = "yes")]
    pub(super) counts: Vec<String>,
    /// Number of worker threads, 1 to 1024; by default, the number of cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_THREADS))]
    pub(super) threads: Option<u16>,
    /// Print the report as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// Keep outputs, state folders and logs in this folder, which must be new or empty; by default, they are removed
    #[arg(long, value_name = "DIR")]
    pub(super) keep: Option<PathBuf>,
}

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FaultArg {
    /// The process is killed (`kill -9`)
    Kill,
    /// The connection of a delivery is lost, before or after the target has the records
    Drop,
    /// Deliveries are slow, or the input where nothing is delivered
    Slow,
    /// Deliveries are answered with 429 or 500
    Refuse,
    /// The disk is full
    Disk,
    /// The clock jumps by up to two hours, forwards or back
    Clock,
    /// All deliveries fail for 2 to 6 seconds, and five of them at least
    Outage,
    /// Reading fails, or nothing is read for up to 5 seconds
    Input,
}

impl From<FaultArg> for FaultKind {
    fn from(kind: FaultArg) -> Self {
        match kind {
            FaultArg::Kill => Self::Kill,
            FaultArg::Drop => Self::Drop,
            FaultArg::Slow => Self::Slow,
            FaultArg::Refuse => Self::Refuse,
            FaultArg::Disk => Self::Disk,
            FaultArg::Clock => Self::Clock,
            FaultArg::Outage => Self::Outage,
            FaultArg::Input => Self::Input,
        }
    }
}

#[derive(Args, Debug)]
pub(super) struct InitArgs {
    /// The data files
    #[arg(required = true)]
    pub(super) data: Vec<PathBuf>,
    /// The pipeline file to write; by default, or with `-`, standard output
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Overwrite an existing file
    #[arg(long, requires = "output")]
    pub(super) force: bool,
}

#[derive(Args, Debug)]
pub(super) struct SchemaArgs {
    /// A source, stage or sink; by default, all of them
    pub(super) component: Option<String>,
    /// Print a reference in Markdown instead
    #[arg(long)]
    pub(super) markdown: bool,
}

#[derive(Args, Debug)]
pub(super) struct FitArgs {
    #[command(flatten)]
    pub(super) pipeline: FileArgs,
    #[command(flatten)]
    pub(super) drive: DriveArgs,
    /// Where to save the constants; by default, or with `-`, standard output
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// The stage whose constants to save, counted from 0, if several are fitted
    #[arg(long, value_name = "N")]
    pub(super) stage: Option<usize>,
}

#[derive(Args, Debug)]
pub(super) struct RetryArgs {
    /// The dead letters, whose `raw` was repaired where possible: JSON Lines, as the sink `dead_letter` writes them
    pub(super) rejects: PathBuf,
    #[command(flatten)]
    pub(super) pipeline: FileArgs,
    #[command(flatten)]
    pub(super) drive: DriveArgs,
    /// Where those go that are rejected again; by default, beside the first ones: `rejects.rest.jsonl`
    #[arg(long, value_name = "FILE")]
    pub(super) rest: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum OutboxVerb {
    /// Show what is not delivered: by sink, how many checkpoints, records and bytes, and for how long
    Inspect(OutboxArgs),
    /// Check that all of it is intact
    Verify(OutboxArgs),
    /// Deliver it, without reading any input
    Deliver(DeliverArgs),
}

#[derive(Args, Debug)]
pub(super) struct OutboxArgs {
    /// The folder that was given as --state, or one file of an outbox
    pub(super) path: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Args, Debug)]
pub(super) struct DeliverArgs {
    #[command(flatten)]
    pub(super) pipeline: FileArgs,
    #[command(flatten)]
    pub(super) drive: DriveArgs,
    /// The folder that was given to the run as --state
    #[arg(long, value_name = "DIR")]
    pub(super) state: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(super) enum StateVerb {
    /// Show the newest checkpoint: the position of the input, how much of each part's state a run reads to resume, the length of each output
    Inspect(InspectArgs),
    /// Check that every checkpoint is intact, and that the output files of the newest one exist
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
    /// Number of sensors
    #[arg(long, value_name = "N")]
    pub(super) sensors: Option<u64>,
    /// Number of records, over all sensors
    #[arg(long, value_name = "N")]
    pub(super) records: Option<u64>,
    /// The seed of the readings
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
pub(super) enum ProgressMode {
    /// On a terminal
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Sentences for people
    #[default]
    Text,
    /// One object per line
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogLevel {
    /// What ends the run
    Error,
    /// What somebody may have to act on
    Warn,
    /// What happens in the ordinary life of a run
    #[default]
    Info,
    /// What happens again and again; and warnings of libraries
    Debug,
    /// Everything, also from libraries
    Trace,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Accept {
    /// Changed parts of the pipeline start anew, all others resume; changed input files are read as they are now
    Changes,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(super) enum IoArg {
    /// Memory-map where that is safe, read otherwise
    #[default]
    Auto,
    /// Memory-map
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
