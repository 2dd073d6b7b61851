//! `cargo xtask release`: the files of a release: static binaries in archives, a Debian package and a wheel each, and their checksums.
//!
//! Everything is built from the lock file, and stamped with the time of the commit: the same commit and tools give the same archives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Outcome, line, run, tools, wheel, zig};

/// One system that a release is built for.
struct System {
    target: &'static str,
    /// Debian's name of the processor.
    debian: &'static str,
    /// The standard library's name of it.
    processor: &'static str,
    /// The emulator for other processors.
    emulator: &'static str,
}

const SYSTEMS: [System; 2] = [
    System {
        target: "x86_64-unknown-linux-musl",
        debian: "amd64",
        processor: "x86_64",
        emulator: "qemu-x86_64",
    },
    System {
        target: "aarch64-unknown-linux-musl",
        debian: "arm64",
        processor: "aarch64",
        emulator: "qemu-aarch64",
    },
];

/// A released binary has all connectors: whoever downloads one cannot choose.
const CONNECTORS: &str = "connectors";

const CHECKSUMS: &str = "SHA256SUMS";

/// Shells that the command writes completions for: name, folder of a Debian package, file.
const COMPLETIONS: [(&str, &str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions", "tidemill"),
    ("zsh", "usr/share/zsh/vendor-completions", "_tidemill"),
    ("fish", "usr/share/fish/vendor_completions.d", "tidemill.fish"),
];

/// Files that accompany the binary.
const DOCUMENTS: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Builds for all systems, and tests the results. `is_light`: only for this machine's processor and without optimisation, which tests the
/// recipe in a third of the time.
pub(crate) fn release(is_light: bool) -> Outcome {
    tools::installed("dpkg-deb", "dpkg")?;
    let release = Release::new(is_light)?;
    empty(&release.folder)?;
    let systems = SYSTEMS.iter().filter(|system| !is_light || system.is_this());
    let mut files = Vec::new();
    for system in systems {
        let binary = release.build(system)?;
        check_static(&binary)?;
        files.push(release.archive(system, &binary)?);
        let package = release.package(system, &binary)?;
        release.try_out(system, &package)?;
        files.push(package);
        files.push(release.wheel(system)?);
    }
    release.write_checksums(&files)?;
    eprintln!("in {}:", release.folder.display());
    files.iter().for_each(|file| eprintln!("  {}", name(file)));
    Ok(())
}

/// A release under construction.
struct Release {
    folder: PathBuf,
    profile: &'static str,
    version: String,
    /// When the commit was made, in seconds since 1970.
    time: String,
    /// The completion scripts, in the order of [`COMPLETIONS`].
    completions: Vec<Vec<u8>>,
}

impl Release {
    fn new(is_light: bool) -> Result<Self, String> {
        let time = output(Command::new("git").args(["log", "-1", "--format=%ct"]))?;
        let (folder, profile) =
            if is_light { ("release-light", "light") } else { ("release-files", "release") };
        Ok(Self {
            folder: crate::target()?.join(folder),
            profile,
            version: env!("CARGO_PKG_VERSION").into(),
            time: time.trim().into(),
            completions: completions()?,
        })
    }

    fn has_connectors(&self) -> bool {
        self.profile == "release"
    }

    /// The static binary for a system.
    fn build(&self, system: &System) -> Result<PathBuf, String> {
        run(Command::new("rustup").args(["target", "add", system.target]))?;
        let arguments = ["zigbuild", "--locked", "--package", "tidemill", "--bin", "tidemill"];
        // Line tables, which a release build has for the profiler, are a third of the file.
        let strip = format!("CARGO_PROFILE_{}_STRIP", self.profile.to_uppercase());
        let mut build = zig::cargo_zigbuild()?;
        build.args(arguments).args(["--profile", self.profile]);
        // Light, without them: they take longer to build than all else.
        if self.has_connectors() {
            build.args(["--features", CONNECTORS]);
        }
        run(build.args(["--target", system.target]).env(strip, "symbols"))?;
        Ok(crate::target()?.join(system.target).join(self.profile).join("tidemill"))
    }

    /// `tidemill-VERSION-TARGET.tar.gz`: a folder with the binary, completions and documents.
    fn archive(&self, system: &System, binary: &Path) -> Result<PathBuf, String> {
        let stem = format!("tidemill-{}-{}", self.version, system.target);
        let folder = self.folder.join(&stem);
        copy(binary, &folder.join("tidemill"))?;
        for document in DOCUMENTS {
            copy(&crate::root().join(document), &folder.join(document))?;
        }
        for ((_, _, file), script) in COMPLETIONS.iter().zip(&self.completions) {
            write(&folder.join("completions").join(file), script)?;
        }
        let archive = self.folder.join(format!("{stem}.tar.gz"));
        let time = format!("--mtime=@{}", self.time);
        let mut tar = Command::new("tar");
        tar.args(["--create", "--gzip", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", &time]);
        run(tar.arg("--file").arg(&archive).arg("--directory").arg(&self.folder).arg(&stem))?;
        fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(archive)
    }

    /// `tidemill_VERSION_PROCESSOR.deb`. It depends on nothing: the binary is static.
    fn package(&self, system: &System, binary: &Path) -> Result<PathBuf, String> {
        let root = self.folder.join(format!("deb-{}", system.debian));
        copy(binary, &root.join("usr/bin/tidemill"))?;
        let unit = Path::new("packaging/tidemill@.service");
        copy(&crate::root().join(unit), &root.join("usr/lib/systemd/system/tidemill@.service"))?;
        let documents = root.join("usr/share/doc/tidemill");
        for document in DOCUMENTS {
            copy(&crate::root().join(document), &documents.join(document))?;
        }
        let licence =
            fs::read_to_string(crate::root().join("LICENSE-MIT")).map_err(|error| error.to_string())?;
        let copyright = format!(
            "Licence: MIT or Apache-2.0, at your choice; the texts are beside this file.\n\n{licence}"
        );
        write(&documents.join("copyright"), copyright.as_bytes())?;
        for ((_, folder, file), script) in COMPLETIONS.iter().zip(&self.completions) {
            write(&root.join(folder).join(file), script)?;
        }
        let size = fs::metadata(binary).map_err(|error| error.to_string())?.len().div_ceil(1024);
        let control = format!(
            "Package: tidemill\nVersion: {}\nArchitecture: {}\nMaintainer: the tidemill authors\nInstalled-Size: {size}\n\
             Section: utils\nPriority: optional\nDescription: one pipeline for sensor data, at rest and in motion\n \
             Reads readings from files, pipes and sockets; thresholds, normalises,\n averages and aggregates them; writes CSV, JSON Lines and Parquet.\n",
            self.version, system.debian,
        );
        write(&root.join("DEBIAN/control"), control.as_bytes())?;
        let package = self.folder.join(format!("tidemill_{}_{}.deb", self.version, system.debian));
        let mut build = Command::new("dpkg-deb");
        build.args(["--root-owner-group", "--build"]).arg(&root).arg(&package);
        run(build.env("SOURCE_DATE_EPOCH", &self.time).stdout(Stdio::null()))?;
        fs::remove_dir_all(&root).map_err(|error| format!("{}: {error}", root.display()))?;
        Ok(package)
    }

    /// The wheel of the Python package, tried out where this machine can.
    fn wheel(&self, system: &System) -> Result<PathBuf, String> {
        let built = wheel::build(system.processor, self.profile, &self.folder)?;
        if system.is_this() {
            wheel::try_out(&built)?;
        }
        Ok(built)
    }

    /// Installs the package into a folder, and runs the installed command: `--version`, and a pipeline over the sample data, to Parquet and back.
    fn try_out(&self, system: &System, package: &Path) -> Outcome {
        let root = self.folder.join("installed");
        install(package, &root)?;
        let program = root.join("usr/bin/tidemill");
        let version = output(system.command(&program)?.arg("--version"))?;
        if version.trim() != format!("tidemill {}", self.version) {
            return Err(format!("`{} --version` says `{}`", program.display(), version.trim()));
        }
        if self.has_connectors() {
            let list = output(system.command(&program)?.arg("list"))?;
            if let Some(missing) =
                ["delta", "kafka", "mqtt", "opcua", "postgres"].iter().find(|name| !list.contains(*name))
            {
                return Err(format!("`{} list` lacks the connector `{missing}`", program.display()));
            }
        }
        let written = root.join("clean.csv");
        for (pipeline, text) in [("to.toml", TO_PARQUET), ("from.toml", FROM_PARQUET)] {
            let text = text
                .replace("{samples}", &crate::root().join("datasets/samples/plant").display().to_string());
            write(&root.join(pipeline), text.as_bytes())?;
            run(system.command(&program)?.args(["run", "--quiet"]).arg(root.join(pipeline)))?;
        }
        let text = fs::read_to_string(&written).map_err(|error| format!("{}: {error}", written.display()))?;
        match text.lines().count() {
            LINES => Ok(()),
            count => Err(format!("{} has {count} lines, not {LINES}", written.display())),
        }?;
        empty(&root)?;
        fs::remove_dir(&root).map_err(|error| format!("{}: {error}", root.display()))
    }

    fn write_checksums(&self, files: &[PathBuf]) -> Outcome {
        let mut sums = Command::new("sha256sum");
        let sums = output(sums.args(files.iter().map(|file| name(file))).current_dir(&self.folder))?;
        write(&self.folder.join(CHECKSUMS), sums.as_bytes())?;
        let mut check = Command::new("sha256sum");
        output(check.args(["--check", "--strict", CHECKSUMS]).current_dir(&self.folder)).map(drop)
    }
}

/// Lines of the CSV file with the sample data: the README's 5,853 records, and the header.
const LINES: usize = 5854;

const TO_PARQUET: &str = r#"
[source]
type = "csv"
path = "{samples}/*.csv"
time = "timestamp"
sensor = "sensor"

[[stage]]
type = "threshold"
min = -40.0
max = 125.0
sensors."press-*" = { min = 80.0, max = 120.0 }

[[stage]]
type = "moving_average"
window = 20

[[sink]]
type = "parquet"
path = "clean.parquet"
"#;

const FROM_PARQUET: &str = r#"
[source]
type = "parquet"
path = "clean.parquet"
time = "timestamp"
sensor = "sensor"

[[sink]]
type = "csv"
path = "clean.csv"
"#;

impl System {
    fn is_this(&self) -> bool {
        self.processor == std::env::consts::ARCH && cfg!(target_os = "linux")
    }

    /// Runs a program of the system, under an emulator if this machine has another processor.
    fn command(&self, program: &Path) -> Result<Command, String> {
        if self.is_this() {
            return Ok(Command::new(program));
        }
        tools::installed(self.emulator, "qemu-user")?;
        let mut command = Command::new(self.emulator);
        command.arg(program);
        Ok(command)
    }
}

/// Installs a package with dpkg, below `root` and with a separate package database.
fn install(package: &Path, root: &Path) -> Outcome {
    empty(root)?;
    let database = root.join("var/lib/dpkg");
    write(&database.join("status"), b"")?;
    for folder in ["info", "updates"] {
        let folder = database.join(folder);
        fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let mut dpkg = Command::new("dpkg");
    dpkg.arg(format!("--root={}", root.display())).args([
        "--force-not-root",
        "--force-architecture",
        "--log=/dev/null",
    ]);
    run(dpkg.arg("--install").arg(package).stdout(Stdio::null()))
}

/// The completion scripts, generated by this checkout's command.
fn completions() -> Result<Vec<Vec<u8>>, String> {
    let command = crate::built("tidemill")?;
    let script = |(shell, _, _): &(&str, &str, &str)| {
        output(Command::new(&command).args(["completions", shell])).map(String::into_bytes)
    };
    COMPLETIONS.iter().map(script).collect()
}

/// Checks that a binary needs no program interpreter, and so no C library.
fn check_static(binary: &Path) -> Outcome {
    let bytes = fs::read(binary).map_err(|error| format!("{}: {error}", binary.display()))?;
    match asks_for_interpreter(&bytes) {
        Some(false) => Ok(()),
        Some(true) => Err(format!("{} is linked dynamically", binary.display())),
        None => Err(format!("{} is not a 64-bit little-endian ELF file", binary.display())),
    }
}

/// Whether one of the program headers of an ELF file is `PT_INTERP`.
fn asks_for_interpreter(elf: &[u8]) -> Option<bool> {
    const PT_INTERP: u32 = 3;
    let u16_at = |at: usize| Some(u16::from_le_bytes(elf.get(at..at + 2)?.try_into().ok()?) as usize);
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let first = u64::from_le_bytes(elf.get(32..40)?.try_into().ok()?) as usize;
    let (size, count) = (u16_at(54)?, u16_at(56)?);
    let kind = |header: usize| {
        let at = first.checked_add(header * size)?;
        Some(u32::from_le_bytes(elf.get(at..at.checked_add(4)?)?.try_into().ok()?))
    };
    (0..count).try_fold(false, |found, header| Some(found || kind(header)? == PT_INTERP))
}

/// Creates `folder`, empty.
fn empty(folder: &Path) -> Outcome {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(folder),
    }
    .map_err(|error| format!("{}: {error}", folder.display()))
}

fn copy(from: &Path, to: &Path) -> Outcome {
    make_folder_of(to)?;
    fs::copy(from, to).map(drop).map_err(|error| format!("{} to {}: {error}", from.display(), to.display()))
}

fn write(file: &Path, bytes: &[u8]) -> Outcome {
    make_folder_of(file)?;
    fs::write(file, bytes).map_err(|error| format!("{}: {error}", file.display()))
}

fn make_folder_of(file: &Path) -> Outcome {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

/// The output of a command.
fn output(command: &mut Command) -> Result<String, String> {
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("`{}` cannot be run: {error}", line(command)))?;
    if !output.status.success() {
        return Err(format!("`{}` failed: {}", line(command), output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("`{}` does not print text", line(command)))
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::asks_for_interpreter;

    /// An ELF file of nothing but a header and program headers of these kinds.
    fn elf(kinds: &[u32]) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[32] = 64;
        (file[54], file[56]) = (56, kinds.len() as u8);
        for kind in kinds {
            file.extend(kind.to_le_bytes());
            file.extend([0; 52]);
        }
        file
    }

    #[test]
    fn a_dynamic_binary_is_told_from_a_static_one() {
        assert_eq!(asks_for_interpreter(&elf(&[6, 1, 1])), Some(false));
        assert_eq!(asks_for_interpreter(&elf(&[6, 3, 1])), Some(true));
        let whole = elf(&[6, 3]);
        for length in 0..whole.len() - 52 {
            assert_eq!(asks_for_interpreter(&whole[..length]), None, "{length} bytes");
        }
        assert_eq!(asks_for_interpreter(b"MZ"), None);
    }
}
