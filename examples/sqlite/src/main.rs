//! The `tidemill` command with the sink of this crate beside its own: `cargo run -p tidemill-example-sqlite -- run pipeline.toml --state state`.

// Linked for what it registers.
use tidemill_example_sqlite as _;

fn main() -> std::process::ExitCode {
    tidemill::cli::main()
}
