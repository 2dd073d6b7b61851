//! The `tidemill` command with the stages of this crate in addition: `cargo run -p tidemill-example-stages -- explain pipeline.toml`.

// Linked for its registrations.
use tidemill_example_stages as _;

fn main() -> std::process::ExitCode {
    tidemill::cli::run(std::env::args_os()).into()
}
