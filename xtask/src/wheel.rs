//! `cargo xtask wheel`: the wheels of the Python package, for any Linux since glibc 2.17.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Outcome, root, run, target, tools};

/// The C library of the systems that wheels run on; the processor is before it in a target's name.
const SYSTEM: &str = "unknown-linux-gnu";
/// The tag of those systems.
const COMPATIBILITY: &str = "manylinux2014";
/// The profile of wheels that are for others.
const RELEASE: &str = "release";
/// Such a wheel is smaller, in bytes.
const LIMIT: u64 = 25_000_000;
/// A pipeline that needs nothing but the wheel.
const TRIAL: &str = "\
from tidemill import Pipeline, Threshold
records = [{'sensor': 'a', 'value': value} for value in (1.0, 500.0)]
assert [record.value for record in Pipeline([records, Threshold(max=100)]).stream()] == [1.0]
";

/// Builds the wheel for this machine's processor, and tries it out.
pub(crate) fn wheel() -> Outcome {
    let folder = target()?.join("wheels");
    try_out(&build(std::env::consts::ARCH, RELEASE, &folder)?)
}

/// Builds the wheel for a processor with a profile of Cargo, into `folder`: the path of the wheel.
pub(crate) fn build(processor: &str, profile: &str, folder: &Path) -> Result<PathBuf, String> {
    let system = format!("{processor}-{SYSTEM}");
    run(Command::new("rustup").args(["target", "add", &system]))?;
    let python = tools::python_with("wheel", &root().join("python/wheel-requirements.txt"))?;
    let tools = python.parent().unwrap_or(Path::new(""));
    let built = folder.join(&system);
    drop(fs::remove_dir_all(&built));
    let mut build = Command::new(tools.join("maturin"));
    build.args(["build", "--locked", "--zig", "--compatibility", COMPATIBILITY, "--profile", profile]);
    build.args(["--manifest-path", "python/Cargo.toml", "--target", &system, "--out"]).arg(&built);
    // Where it looks for zig, and where cargo builds.
    let mut path = tools.as_os_str().to_owned();
    path.push(":");
    path.push(crate::variable("PATH").unwrap_or_default());
    run(build.env("PATH", path).env("CARGO_TARGET_DIR", target()?))?;
    let wheel = take_out(&built, folder)?;
    if profile == RELEASE {
        check_size(&wheel, LIMIT)?;
    }
    Ok(wheel)
}

/// Fails if a file has `limit` bytes or more.
fn check_size(file: &Path, limit: u64) -> Outcome {
    let size = fs::metadata(file).map_err(|error| format!("{}: {error}", file.display()))?.len();
    if size < limit {
        Ok(())
    } else {
        Err(format!("{} has {size} bytes, not fewer than {limit}", file.display()))
    }
}

/// Moves the one file of `built` to `folder`, and removes `built`.
fn take_out(built: &Path, folder: &Path) -> Result<PathBuf, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", built.display());
    let entry = fs::read_dir(built).map_err(failed)?.next().ok_or("no wheel was built")?.map_err(failed)?;
    let wheel = folder.join(entry.file_name());
    fs::rename(entry.path(), &wheel).and_then(|()| fs::remove_dir(built)).map_err(failed)?;
    Ok(wheel)
}

/// Installs a wheel for this machine into an environment without any other package, and imports it, runs a pipeline and the command from there.
pub(crate) fn try_out(wheel: &Path) -> Outcome {
    let tried = target()?.join("wheel-tried");
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&tried))?;
    let python = tried.join("bin/python");
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--no-index"]).arg(wheel))?;
    run(Command::new(&python).args(["-c", "import tidemill"]))?;
    run(Command::new(&python).args(["-c", TRIAL]))?;
    run(Command::new(tried.join("bin/tidemill")).arg("--version"))
}

#[cfg(test)]
mod tests {
    use super::check_size;

    #[test]
    fn a_large_wheel_is_refused() {
        let file = std::env::temp_dir().join(format!("tidemill-xtask-{}.whl", std::process::id()));
        assert!(check_size(&file, 5).is_err(), "there is none");
        std::fs::write(&file, b"four").unwrap_or_default();
        let outcomes = [check_size(&file, 5), check_size(&file, 4)];
        std::fs::remove_file(&file).unwrap_or_default();
        assert_eq!(outcomes[0], Ok(()));
        assert!(outcomes[1].as_ref().is_err_and(|why| why.ends_with("has 4 bytes, not fewer than 4")));
    }
}
