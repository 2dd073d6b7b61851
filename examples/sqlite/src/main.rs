//! The `tidemill` command with the sink of this crate in addition: `cargo run -p tidemill-example-sqlite -- run pipeline.toml --state state`.

// Linked for its registrations.
use tidemill_example_sqlite as _;

fn main() -> std::process::ExitCode {
    tidemill::cli::run(std::env::args_os()).into()
}
