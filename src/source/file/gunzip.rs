//! Gzip: one member after the other, as files have them that were put together or written in turns.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

/// Unpacks all members of a gzip file. Zeros behind the last one are no error: tapes and block devices leave them there.
pub(super) struct Gunzip<R>(State<R>);

enum State<R> {
    Member(Box<GzDecoder<R>>),
    /// Behind a member.
    Between(R),
    End,
}

impl<R: BufRead> State<R> {
    fn of(packed: R) -> Self {
        Self::Member(Box::new(GzDecoder::new(packed)))
    }
}

impl<R: BufRead> Gunzip<R> {
    pub(super) fn new(packed: R) -> Self {
        Self(State::of(packed))
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.0, State::End) {
                State::End => return Ok(0),
                State::Between(mut packed) => {
                    if skip_zeros(&mut packed)? {
                        self.0 = State::of(packed);
                    }
                }
                State::Member(mut member) => match member.read(buffer) {
                    Ok(0) if !buffer.is_empty() => self.0 = State::Between(member.into_inner()),
                    read => {
                        self.0 = State::Member(member);
                        return read;
                    }
                },
            }
        }
    }
}

/// Skips zeros; whether something else follows.
fn skip_zeros(packed: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let bytes = match packed.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            bytes => bytes?,
        };
        if bytes.is_empty() {
            return Ok(false);
        }
        let zeros = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
        let is_over = zeros < bytes.len();
        packed.consume(zeros);
        if is_over {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).expect("packed");
        encoder.finish().expect("packed")
    }

    /// Unpacks what comes in pieces of `piece` bytes.
    fn unpacked(bytes: &[u8], piece: usize) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        Gunzip::new(io::BufReader::with_capacity(piece, bytes)).read_to_end(&mut text).map(|_| text)
    }

    #[test]
    fn members_follow_one_another_and_zeros_follow_them() {
        let two = [packed(b"one\n"), packed(b"two\n")].concat();
        for zeros in [0, 1, 10, 20_000] {
            for piece in [1, 7, 4096] {
                let padded = [&two[..], &vec![0; zeros]].concat();
                assert_eq!(unpacked(&padded, piece).expect("gzip"), b"one\ntwo\n", "{zeros} zeros, {piece}");
            }
        }
    }

    #[test]
    fn anything_else_behind_the_last_member_is_an_error() {
        let one = packed(b"one\n");
        for rest in [&b"x"[..], b"\0\0garbage", b"\x1f"] {
            assert!(unpacked(&[&one[..], rest].concat(), 4096).is_err(), "{rest:?}");
        }
        assert!(unpacked(&one[..one.len() - 1], 4096).is_err());
    }
}
