//! `cargo xtask fuzz [seconds]`: fuzzing against the reference implementations; see `CONTRIBUTING.md`.

use std::path::PathBuf;
use std::process::Command;

use crate::{Outcome, cargo, run, tools};

/// The version of cargo-fuzz to install.
const CARGO_FUZZ: &str = "0.13.2";

/// The toolchain: the fuzzer needs unstable compiler options.
const TOOLCHAIN: &str = "nightly";

/// The fuzz targets: the files of `fuzz/fuzz_targets`.
const TARGETS: [&str; 2] = ["decode", "run"];

/// Maximum length of an input: a file of a few dozen records.
const MAX_LEN: &str = "-max_len=2048";

/// Fuzzes each target for this many seconds, starting with `fuzz/seeds` and the corpus of earlier runs in `fuzz/corpus`.
pub(crate) fn fuzz(seconds: &str) -> Outcome {
    seconds.parse::<u32>().map_err(|_| format!("`{seconds}` is not a number of seconds"))?;
    let tool = cargo_fuzz()?;
    TARGETS.iter().try_for_each(|target| {
        let (corpus, seeds) = (format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}"));
        let corpus_folder = crate::root().join(&corpus);
        std::fs::create_dir_all(&corpus_folder)
            .map_err(|error| format!("{}: {error}", corpus_folder.display()))?;
        let mut command = Command::new(&tool);
        command.args(["run", target, &corpus, &seeds, "--"]);
        // Threads that outlive the input look like leaks, and leak detection takes most of the time.
        command.args([
            &format!("-max_total_time={seconds}"),
            MAX_LEN,
            "-detect_leaks=0",
            "-print_final_stats=1",
        ]);
        // The cargo that runs this task belongs to another toolchain.
        run(command.env("RUSTUP_TOOLCHAIN", TOOLCHAIN).env_remove("CARGO")).map_err(|why| {
            format!("{why}\nthe input is in fuzz/artifacts/{target}; fix the bug, with a test for it")
        })
    })
}

/// The path of cargo-fuzz; installs it into the cache, and its toolchain.
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
