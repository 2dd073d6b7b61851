//! Bodies: their size, also when they are decompressed.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use hyper::StatusCode;

use super::access::Refusal;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Gzip,
    Zstd,
    /// One block of Snappy, without a frame, as remote write has it.
    Snappy,
}

impl Encoding {
    /// That of the header `Content-Encoding`.
    pub(super) fn of(header: &str) -> Result<Self, Refusal> {
        match &*header.trim().to_ascii_lowercase() {
            "" | "identity" => Ok(Self::Plain),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            "snappy" => Ok(Self::Snappy),
            _ => Err(Refusal(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "a Content-Encoding other than gzip, zstd and snappy",
            )),
        }
    }

    /// The bytes of `body`; refused beyond `most`, before they take more memory than that.
    pub(super) fn decode(self, body: Vec<u8>, most: usize) -> Result<Vec<u8>, Refusal> {
        match self {
            Self::Plain => Ok(body),
            Self::Gzip => limited(MultiGzDecoder::new(&*body), most),
            Self::Zstd => limited(zstd::Decoder::new(&*body).map_err(|_| damaged())?, most),
            Self::Snappy => {
                let length = snap::raw::decompress_len(&body).map_err(|_| damaged())?;
                if length > most {
                    return Err(too_large());
                }
                snap::raw::Decoder::new().decompress_vec(&body).map_err(|_| damaged())
            }
        }
    }
}

/// Reads everything, if it is not more than `most` bytes.
fn limited(decoder: impl Read, most: usize) -> Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    decoder.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|_| damaged())?;
    if bytes.len() > most { Err(too_large()) } else { Ok(bytes) }
}

fn damaged() -> Refusal {
    Refusal(StatusCode::BAD_REQUEST, "the body cannot be decompressed")
}

/// The refusal of a body that is too large.
pub(super) fn too_large() -> Refusal {
    Refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write;

    fn packed(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
        match encoding {
            Encoding::Plain => bytes.to_vec(),
            Encoding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(bytes).expect("written");
                encoder.finish().expect("packed")
            }
            Encoding::Zstd => zstd::encode_all(bytes, 3).expect("packed"),
            Encoding::Snappy => snap::raw::Encoder::new().compress_vec(bytes).expect("packed"),
        }
    }

    const ALL: [Encoding; 4] = [Encoding::Plain, Encoding::Gzip, Encoding::Zstd, Encoding::Snappy];

    #[test]
    fn a_bomb_is_refused() {
        let bomb = vec![0; 8 << 20];
        for encoding in &ALL[1..] {
            let packed = packed(*encoding, &bomb);
            assert!(packed.len() < 500_000, "{encoding:?}");
            let refused = encoding.decode(packed, 1 << 20).expect_err("too large");
            assert_eq!(refused.0, StatusCode::PAYLOAD_TOO_LARGE);
        }
        // One that announces 4 GiB in five bytes.
        let refused = Encoding::Snappy.decode(vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0], 1 << 20);
        assert_eq!(refused.expect_err("too large").0, StatusCode::PAYLOAD_TOO_LARGE);
    }

    proptest! {
        #[test]
        fn bodies_come_back(bytes in any::<Vec<u8>>()) {
            for encoding in ALL {
                prop_assert_eq!(encoding.decode(packed(encoding, &bytes), 1 << 20).expect("the bytes"), bytes.clone());
            }
        }

        #[test]
        fn damage_is_no_panic(bytes in any::<Vec<u8>>(), at in any::<proptest::sample::Index>(), flip in 1..255_u8) {
            for encoding in ALL {
                let mut packed = packed(encoding, &bytes);
                let _of_strangers = encoding.decode(bytes.clone(), 1 << 16);
                if !packed.is_empty() {
                    let at = at.index(packed.len());
                    packed[at] ^= flip;
                    let _damaged = encoding.decode(packed, 1 << 16);
                }
            }
        }
    }
}
