//! zig as a C compiler and linker for other systems than this one.

use std::path::Path;
use std::process::Command;

use crate::tools;

/// `cargo-zigbuild`: cargo, with zig as the C compiler and the linker. Installs both as Python packages if they are not yet in the cache.
pub(crate) fn cargo_zigbuild() -> Result<Command, String> {
    let requirements = crate::root().join("xtask/zig/requirements.txt");
    let python = tools::python_with("zig", &requirements)?;
    let folder = python.parent().unwrap_or(Path::new(""));
    let mut command = Command::new(folder.join("cargo-zigbuild"));
    // Where it looks for zig.
    command.env("CARGO_ZIGBUILD_PYTHON_PATH", &python);
    Ok(command)
}
