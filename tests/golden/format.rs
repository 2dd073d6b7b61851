//! The formats that have a version: how a file says it, and how one of another version would look.

/// A format that has a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Checkpoint,
    Recording,
    /// A log of rows: an outbox, or an unfinished Parquet file.
    Rows,
    /// The constants of a first pass.
    Fit,
}

/// Where the version stands in checkpoints and in logs of rows.
const VERSION: std::ops::Range<usize> = 8..12;

/// Where it stands in a recording, as a digit.
const DIGIT: usize = 15;

/// The checksum at the end of a checkpoint.
const CHECKSUM: usize = 4;

impl Format {
    pub(crate) const ALL: [Self; 4] = [Self::Checkpoint, Self::Recording, Self::Rows, Self::Fit];

    /// The version that is written now: see `CONTRIBUTING.md`.
    pub(crate) fn version(self) -> u32 {
        match self {
            Self::Checkpoint => 7,
            Self::Recording => 6,
            Self::Rows => 2,
            Self::Fit => 1,
        }
    }

    /// That of the file with this name, if it has one.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "fit.json" => Some(Self::Fit),
            _ if name.ends_with(".rec") => Some(Self::Recording),
            _ if name.starts_with("checkpoint-") => Some(Self::Checkpoint),
            _ if name.starts_with("outbox-") || name.starts_with("rows-") => Some(Self::Rows),
            _ => None,
        }
    }

    /// `bytes`, a file of this version, as one of `version` whose layout begins in the same way.
    pub(crate) fn with_version(self, mut bytes: Vec<u8>, version: u32) -> Vec<u8> {
        match self {
            Self::Checkpoint => {
                let end = bytes.len() - CHECKSUM;
                bytes[VERSION].copy_from_slice(&version.to_le_bytes());
                let checksum = crc32c::crc32c(&bytes[..end]);
                bytes[end..].copy_from_slice(&checksum.to_le_bytes());
            }
            Self::Rows => bytes[VERSION].copy_from_slice(&version.to_le_bytes()),
            Self::Recording => bytes[DIGIT] = b'0' + version as u8,
            Self::Fit => {
                // Another version may have other fields.
                let [now, other] = [
                    format!("\"version\": {}", self.version()),
                    format!("\"version\": {version},\n  \"made\": \"elsewhere\""),
                ];
                let text = String::from_utf8(bytes).expect("text");
                assert!(text.contains(&now), "{text}");
                bytes = text.replace(&now, &other).into_bytes();
            }
        }
        bytes
    }
}
