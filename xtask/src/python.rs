//! `cargo xtask python`: the Python package: its types, its tests, its examples.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::quiet::Quiet;
use crate::{Outcome, cargo, root, run, target, tools};

const PACKAGE: &str = "python/package/tidemill";
const GENERATOR: &str = "python/generate.py";
/// What the package works with, each in a module of this name: each has tests in a folder of its own, with its requirements.
const INTEGRATIONS: [&str; 4] = ["spark", "dask", "torch", "sklearn"];
/// Examples of programs that use the package: each has tests in a folder of its own, with its requirements.
const EXAMPLES: [&str; 5] = [
    "service",
    "orchestrators/airflow",
    "orchestrators/prefect",
    "orchestrators/luigi",
    "orchestrators/kedro",
];
/// A test that hangs says where.
const PYTEST: [&str; 7] = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "faulthandler_timeout=300"];
/// How long the tests of an integration or example may take.
const LIMIT: Duration = Duration::from_mins(15);

/// Builds the package, and tests it.
pub(crate) fn python() -> Outcome {
    let package = Package::build()?;
    let interpreter = package.python.display().to_string();
    package.run(&[GENERATOR, "--check"])?;
    package.run(&["-m", "ruff", "check", "--quiet", "--no-cache", "python"])?;
    package.run(&["-m", "mypy", "--strict", "--cache-dir=/dev/null", PACKAGE, GENERATOR])?;
    package.run(&["-m", "pyright", "--pythonpath", &interpreter, PACKAGE])?;
    let module = package.installed.join("tidemill");
    let others = INTEGRATIONS.iter().flat_map(|name| {
        let module = module.join(name).display().to_string();
        [format!("python/tests/{name}"), format!("{module}.py"), module]
    });
    let others = others.chain(EXAMPLES.iter().map(|name| format!("python/tests/{name}")));
    let others: Vec<_> = others.map(|path| format!("--ignore={path}")).collect();
    let mut tests = vec!["--doctest-modules", "--pyargs", "tidemill", "python/tests"];
    tests.extend(others.iter().map(String::as_str));
    package.test(&tests)?;
    // Spark runs on it.
    tools::installed("java", "default-jre-headless")?;
    package.test_side_by_side()
}

/// Writes the modules of components from their schemas.
pub(crate) fn write_types() -> Outcome {
    Package::build()?.run(&[GENERATOR])
}

/// The package as it is installed, in a folder of its own.
struct Package {
    python: PathBuf,
    /// The folder that `tidemill` is imported from.
    installed: PathBuf,
}

impl Package {
    fn build() -> Result<Self, String> {
        let python = tools::python_with("python", &root().join("python/tests/requirements.txt"))?;
        // With the tests of the whole workspace, which are built already: alone it would have other features, and so would all below it.
        cargo(&["build", "--workspace", "--lib", "--tests", "--locked"])?;
        let installed = target()?.join("python");
        let package = installed.join("tidemill");
        drop(fs::remove_dir_all(&package));
        copy_folder(&root().join(PACKAGE), &package)?;
        let library = if cfg!(target_os = "macos") { "lib_native.dylib" } else { "lib_native.so" };
        copy(&target()?.join("debug").join(library), &package.join("_native.abi3.so"))?;
        Ok(Self { python, installed })
    }

    /// Runs the tests of integrations and examples, as many at a time as there are cores; each one's output is in a file, and shown when it
    /// has ended.
    fn test_side_by_side(&self) -> Outcome {
        // Installations one after another: some install the same Debian packages.
        let integrations = INTEGRATIONS.iter().map(|name| {
            let module = format!("tidemill.{name}");
            self.tests_of(name, &["--doctest-modules", "--pyargs", &module])
        });
        let examples = EXAMPLES.iter().map(|name| self.tests_of(name, &[]));
        let waiting = Mutex::new(integrations.chain(examples).collect::<Result<VecDeque<_>, _>>()?);
        let failed = Mutex::new(Vec::new());
        let next = || waiting.lock().ok()?.pop_front();
        let work = || {
            while let Some(tests) = next() {
                if let Err(why) = tests.run(LIMIT) {
                    failed.lock().map(|mut failed| failed.push(why)).unwrap_or_default();
                }
            }
        };
        let workers = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
        let failed = failed.into_inner().map_err(|error| error.to_string())?;
        if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
    }

    /// The tests in `python/tests/NAME`, and `others`, in an environment of their own: their requirements contradict those of other tests.
    fn tests_of(&self, name: &str, others: &[&str]) -> Result<Quiet, String> {
        let folder = format!("python/tests/{name}");
        let python = tools::python_with(name, &root().join(&folder).join("requirements.txt"))?;
        let package = Self { python, installed: self.installed.clone() };
        let mut command = package.command(&[&PYTEST[..], others, &[&folder]].concat());
        let project = root().join(&folder).join("pom.xml");
        if project.exists() {
            command.env("TIDEMILL_JARS", tools::jars_with(&format!("{name}-jars"), &project)?);
        }
        // What was printed before they hang is in the file.
        command.env("PYTHONUNBUFFERED", "1");
        Ok(Quiet { command, printed: target()?.join("python-tests").join(name).with_extension("txt") })
    }

    fn test(&self, arguments: &[&str]) -> Outcome {
        self.run(&[&PYTEST[..], arguments].concat())
    }

    /// Runs Python, for which the package is installed.
    fn run(&self, arguments: &[&str]) -> Outcome {
        run(&mut self.command(arguments))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.python);
        command.args(arguments).env("PYTHONPATH", &self.installed);
        // Leaves no files in the checkout.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}

fn copy_folder(from: &Path, to: &Path) -> Outcome {
    let failed = |error: std::io::Error| format!("{}: {error}", from.display());
    fs::create_dir_all(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some(name) = path.file_name() else { continue };
        if path.is_file() {
            copy(&path, &to.join(name))?;
        } else if name != "__pycache__" {
            copy_folder(&path, &to.join(name))?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Outcome {
    fs::copy(from, to).map(drop).map_err(|error| format!("{}: {error}", from.display()))
}
