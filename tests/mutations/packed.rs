//! Packed text. What unpacks it in other programs judges: what it accepts gives the same records as the text, what it refuses gives none, unless all
//! of the text is there.

use std::io::Read;
use std::path::Path;

use rand::RngExt;
use rand::rngs::StdRng;
use tidemill::RunOptions;

use super::packers;
use super::rig::{self, Bench, Outcome, mutated, refused};

/// A way to pack text.
struct Packing {
    extension: &'static str,
    pack: fn(&[u8]) -> Vec<u8>,
    /// `None` where it is damaged.
    unpack: fn(&[u8]) -> Option<Vec<u8>>,
}

const PACKINGS: [Packing; 7] = [
    Packing {
        extension: "gz",
        pack: packers::gz,
        unpack: |bytes| read(flate2::read::MultiGzDecoder::new(bytes)),
    },
    Packing {
        extension: "zst",
        pack: |text| packers::zst(text, true),
        unpack: |bytes| zstd::decode_all(bytes).ok(),
    },
    // Nothing tells here whether its bytes are those that were packed.
    Packing {
        extension: "zst",
        pack: |text| packers::zst(text, false),
        unpack: |bytes| zstd::decode_all(bytes).ok(),
    },
    Packing {
        extension: "xz",
        pack: packers::xz,
        unpack: |bytes| read(lzma_rust2::XzReader::new(bytes, true)),
    },
    Packing {
        extension: "bz2",
        pack: packers::bz2,
        unpack: |bytes| read(bzip2::read::MultiBzDecoder::new(bytes)),
    },
    Packing { extension: "lz4", pack: packers::lz4, unpack: lz4_frames },
    // Every file in it has a checksum, but not its name.
    Packing { extension: "zip", pack: |text| packers::zip(&[("a.csv", text)]), unpack: |_| None },
];

fn lz4_frames(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    while !bytes.is_empty() {
        lz4_flex::frame::FrameDecoder::new(&mut bytes).read_to_end(&mut text).ok()?;
    }
    Some(text)
}

fn read(mut decoder: impl Read) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    decoder.read_to_end(&mut text).ok().map(|_| text)
}

pub(crate) struct Packed {
    folder: tempfile::TempDir,
    text: String,
    /// What the text gives.
    right: Vec<u8>,
}

pub(crate) fn bench() -> Packed {
    let folder = tempfile::tempdir().expect("a folder");
    let line = |at: u64| format!("{at},s{},{}.{}\n", at * 7919 % 5, at * at % 97, at * 31 % 10);
    let text = "t,s,v\n".to_owned() + &(0..300).map(line).collect::<String>();
    let mut packed = Packed { folder, text, right: Vec::new() };
    let text = packed.text.clone();
    packed.right = packed.plain(text.as_bytes()).expect("an output");
    assert!(packed.right.len() > 3000 && rig::bytes(&packed.path("rejects")).is_empty());
    packed
}

impl Packed {
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// What a run over the file `name` writes.
    fn output(&self, name: &str, random: &mut StdRng) -> Result<Vec<u8>, tidemill::Error> {
        let (folder, pipeline) = (self.folder.path().display(), self.path("p.toml"));
        let toml = format!(
            "[source]\ntype = 'csv'\npath = '{folder}/{name}'\ntime = 't'\ntime_format = 's'\nsensor = 's'\nmeasurements = ['v']\nmax_rejects = 1.0\n\
             [[sink]]\ntype = 'csv'\npath = '{folder}/out.csv'\n[[sink]]\ntype = 'dead_letter'\npath = '{folder}/rejects'\n"
        );
        rig::write(&pipeline, toml);
        rig::run(&pipeline, RunOptions::default(), random)?;
        Ok([rig::bytes(&self.path("out.csv")), raw(&self.path("rejects"))].concat())
    }

    /// What the text gives; `None` where it is refused.
    fn plain(&self, text: &[u8]) -> Option<Vec<u8>> {
        rig::write(&self.path("plain.csv"), text);
        let mut random = <StdRng as rand::SeedableRng>::seed_from_u64(1);
        self.output("plain.csv", &mut random).ok()
    }
}

/// What was set aside: line, reason, bytes.
fn raw(path: &Path) -> Vec<u8> {
    let text = String::from_utf8(rig::bytes(path)).expect("text");
    let letter = |line: &str| {
        let mut letter: serde_json::Value = serde_json::from_str(line).expect("JSON");
        letter["file"] = serde_json::Value::Null;
        format!("{letter}\n").into_bytes()
    };
    text.lines().flat_map(letter).collect()
}

impl Bench for Packed {
    fn once(&mut self, random: &mut StdRng) -> Result<Outcome, String> {
        let Packing { extension, pack, unpack } = &PACKINGS[random.random_range(0..PACKINGS.len())];
        let name = format!("damaged.csv.{extension}");
        let bytes = mutated(&pack(self.text.as_bytes()), random);
        rig::write(&self.path(&name), &bytes);
        let found = match self.output(&name, random) {
            Ok(found) => found,
            Err(error) => return refused(&error, &name),
        };
        let expected = match unpack(&bytes) {
            Some(text) => self.plain(&text),
            None => Some(self.right.clone()),
        };
        match expected.as_ref() == Some(&found) {
            true => Ok(Outcome::Right),
            false => Err(format!(
                "{} bytes came out, and others are right: {:?}",
                found.len(),
                expected.map(|expected| expected.len())
            )),
        }
    }
}
