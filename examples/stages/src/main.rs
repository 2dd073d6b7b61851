//! The `tidemill` command with the stages of this crate beside its own: `cargo run -p tidemill-example-stages -- explain pipeline.toml`.

// Linked for what it registers.
use tidemill_example_stages as _;

fn main() -> std::process::ExitCode {
    tidemill::cli::main()
}
