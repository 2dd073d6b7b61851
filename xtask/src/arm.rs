//! The tests of the library on 64-bit Arm, under an emulator: for the kernels with Arm-specific instructions.

use std::process::Command;

use crate::{Outcome, cargo_command, run, tools};

const TARGET: &str = "aarch64-unknown-linux-gnu";
const COMPILER: &str = "aarch64-linux-gnu-gcc";
const EMULATOR: &str = "qemu-aarch64";

/// Runs them, with fewer cases of property tests, because the emulator is slow.
pub(crate) fn arm() -> Outcome {
    tools::installed(COMPILER, "gcc-aarch64-linux-gnu")?;
    tools::installed(EMULATOR, "qemu-user")?;
    run(Command::new("rustup").args(["target", "add", TARGET]))?;
    let mut tests = cargo_command();
    tests
        .args([
            "test",
            "--lib",
            "--package",
            "tidemill-core",
            "--package",
            "tidemill-engine",
            "--target",
            TARGET,
        ])
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", COMPILER)
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", format!("{EMULATOR} -L /usr/aarch64-linux-gnu"))
        .env("CC_aarch64_unknown_linux_gnu", COMPILER)
        .env("PROPTEST_CASES", "50");
    run(&mut tests)
}
