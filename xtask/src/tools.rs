//! Tools that tasks need: found, or installed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Outcome, run};

/// The folder where tools are kept between runs.
pub(crate) fn cache() -> PathBuf {
    kept().join("tools")
}

/// The folder of everything that is kept between runs.
pub(crate) fn kept() -> PathBuf {
    std::env::home_dir().unwrap_or_else(std::env::temp_dir).join(".cache/tidemill")
}

/// Ensures that `program` can be run, by installing Debian's `package` if not.
pub(crate) fn installed(program: &str, package: &str) -> Outcome {
    if works(program, &["--version"]) { Ok(()) } else { install(&[package]) }
}

/// The Python of a virtual environment named `name` with the packages of `requirements`.
pub(crate) fn python_with(name: &str, requirements: &Path) -> Result<PathBuf, String> {
    let folder = cache().join(name);
    let (python, installed) = (folder.join("bin/python"), folder.join("requirements.txt"));
    let wanted =
        std::fs::read(requirements).map_err(|error| format!("{}: {error}", requirements.display()))?;
    if std::fs::read(&installed).is_ok_and(|found| found == wanted) {
        return Ok(python);
    }
    if !works("python3", &["-c", "import ensurepip"]) {
        install(&["python3-venv"])?;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(requirements))?;
    // Last, so that an interrupted installation is repeated.
    std::fs::write(&installed, wanted).map_err(|error| format!("{}: {error}", installed.display()))?;
    Ok(python)
}

/// The folder, named `name`, with the jars that the Maven project in `project` depends on.
pub(crate) fn jars_with(name: &str, project: &Path) -> Result<PathBuf, String> {
    let folder = cache().join(name);
    jars(&folder, project, Dependencies::Direct)?;
    Ok(folder.join("libs"))
}

/// Which dependencies of a Maven project are copied.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Dependencies {
    /// Those that it names.
    Direct,
    /// Those, and what they depend on.
    All,
}

/// Ensures that `libs` in `folder` has the jars that the Maven project in `project` depends on. The folder may have more that depends on
/// them: it is removed when the project changes.
pub(crate) fn jars(folder: &Path, project: &Path, dependencies: Dependencies) -> Outcome {
    let copied = folder.join("pom.xml");
    let wanted = std::fs::read(project).map_err(|error| format!("{}: {error}", project.display()))?;
    let libs = folder.join("libs");
    if libs.is_dir() && std::fs::read(&copied).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    installed("mvn", "maven")?;
    drop(std::fs::remove_dir_all(folder));
    let direct = dependencies == Dependencies::Direct;
    let copy = ["--quiet", "--batch-mode", "dependency:copy-dependencies", "--file"];
    let options = [format!("-DexcludeTransitive={direct}"), format!("-DoutputDirectory={}", libs.display())];
    run(Command::new("mvn").args(copy).arg(project).args(options))?;
    // Last, so that an interrupted download is repeated.
    std::fs::write(&copied, wanted).map_err(|error| format!("{}: {error}", copied.display()))
}

/// Whether `program` can be run with these arguments, and succeeds.
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Installs Debian's packages.
pub(crate) fn install(packages: &[&str]) -> Outcome {
    // No server among them is started.
    let mut command = Command::new("apt-get");
    command.env("RUNLEVEL", "1").args(["install", "-qy", "--no-install-recommends"]).args(packages);
    run(Command::new("apt-get").args(["update", "-q"])).and_then(|()| run(&mut command)).map_err(|why| {
        let packages = packages.join(" ");
        format!("{why}\ninstall Debian's packages: {packages}, or their equivalents on your system")
    })
}
