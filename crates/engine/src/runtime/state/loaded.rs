//! The files that stages load before the run: a run with other content is a changed pipeline.

use crate::stage::Stage;

/// The content of a file that a stage loads.
pub(super) struct Loaded {
    /// Its name among the options of the stage.
    pub(super) name: String,
    pub(super) crc: u32,
}

impl Loaded {
    /// `None` if `stage` loads no file, or if the file cannot be read, which ends the run later.
    pub(super) fn by(stage: &dyn Stage) -> Option<Self> {
        let path = stage.loads()?;
        let crc = crc32c::crc32c(&std::fs::read(path).ok()?);
        Some(Self { name: format!("CRC-32C of {}", path.written()), crc })
    }
}
