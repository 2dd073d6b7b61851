//! The `tidemill` command.
fn main() -> std::process::ExitCode {
    tidemill::cli::run(std::env::args_os()).into()
}
