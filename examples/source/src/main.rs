//! The `tidemill` command with the source of this crate in addition: `cargo run -p tidemill-example-source -- explain pipeline.toml`.

// Linked for its registrations.
use tidemill_example_source as _;

fn main() -> std::process::ExitCode {
    tidemill::cli::run(std::env::args_os()).into()
}
