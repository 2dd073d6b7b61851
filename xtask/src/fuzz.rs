//! `cargo xtask fuzz [seconds]`: random input against what judges it; see `CONTRIBUTING.md`.

use std::path::PathBuf;
use std::process::Command;

use crate::{Outcome, cargo, run, tools};

/// The version of cargo-fuzz that is installed.
const CARGO_FUZZ: &str = "0.13.2";

/// The compiler: the fuzzer needs unstable options of it.
const TOOLCHAIN: &str = "nightly";

/// What is fuzzed: the files of `fuzz/fuzz_targets`.
const TARGETS: [&str; 2] = ["decode", "run"];

/// Bytes an input at most: a file of some dozen records.
const MAX_LEN: &str = "-max_len=2048";

/// Fuzzes each target for so many seconds, starting with `fuzz/seeds` and what earlier runs found worth keeping in `fuzz/corpus`.
pub(crate) fn fuzz(seconds: &str) -> Outcome {
    seconds.parse::<u32>().map_err(|_| format!("`{seconds}` is no number of seconds"))?;
    let tool = cargo_fuzz()?;
    TARGETS.iter().try_for_each(|target| {
        let (corpus, seeds) = (format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}"));
        let corpus_folder = crate::root().join(&corpus);
        std::fs::create_dir_all(&corpus_folder)
            .map_err(|error| format!("{}: {error}", corpus_folder.display()))?;
        let mut command = Command::new(&tool);
        command.args(["run", target, &corpus, &seeds, "--"]);
        // Threads that live on look like leaks, and looking for those takes most of the time.
        command.args([&format!("-max_total_time={seconds}"), MAX_LEN, "-detect_leaks=0", "-print_final_stats=1"]);
        // The cargo that runs this chore is another toolchain's.
        run(command.env("RUSTUP_TOOLCHAIN", TOOLCHAIN).env_remove("CARGO")).map_err(|why| {
            format!("{why}\nthe input is in fuzz/artifacts/{target}; mend what it shows, with a test that holds it")
        })
    })
}

/// Where cargo-fuzz is; installs it into the cache, and the compiler that it needs.
fn cargo_fuzz() -> Result<PathBuf, String> {
    if !tools::works("rustup", &["run", TOOLCHAIN, "rustc", "--version"]) {
        run(Command::new("rustup").args(["toolchain", "install", TOOLCHAIN, "--profile", "minimal"]))?;
    }
    let folder = tools::cache().join(format!("cargo-fuzz-{CARGO_FUZZ}"));
    let tool = folder.join("bin/cargo-fuzz");
    if !tool.exists() {
        let root = folder.display().to_string();
        cargo(&["install", "cargo-fuzz", "--version", CARGO_FUZZ, "--locked", "--debug", "--root", &root])?;
    }
    Ok(tool)
}
