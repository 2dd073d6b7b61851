//! JSON with further fields.

use std::fmt;

use serde::de::{Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::Deserializer;
use serde_json::value::RawValue;

/// The lines would be longer than they may be.
#[derive(Debug, PartialEq)]
pub(super) struct TooLong;

/// Writes the object or the array of objects in `payload` to `out`, one object per line, each with the fields that `fields` appends (each `"name":value,`). What
/// is neither is written as it is: the decoder rejects it. Returns the number of lines, which is 0 for an array without elements.
///
/// # Errors
/// If `out` would be longer than `most`: it has some of the lines then.
pub(super) fn write(payload: &[u8], fields: &[u8], most: usize, out: &mut Vec<u8>) -> Result<u64, TooLong> {
    let payload = payload.trim_ascii();
    if payload.first() != Some(&b'[') {
        object(payload, fields, out);
        return if out.len() > most { Err(TooLong) } else { Ok(1) };
    }
    let start = out.len();
    let mut elements = Elements { fields, most, out, lines: 0, is_too_long: false };
    let mut reader = Deserializer::from_slice(payload);
    let read = reader.deserialize_seq(&mut elements).and_then(|()| reader.end());
    let Elements { out, lines, is_too_long, .. } = elements;
    match read {
        Ok(()) => Ok(lines),
        Err(_) if is_too_long => Err(TooLong),
        Err(_) => {
            out.truncate(start);
            line(payload, out);
            Ok(1)
        }
    }
}

/// The elements of an array, written one by one. They may be anything: each stands in its own line, to be rejected alone.
struct Elements<'a> {
    fields: &'a [u8],
    most: usize,
    out: &'a mut Vec<u8>,
    lines: u64,
    is_too_long: bool,
}

impl<'de> Visitor<'de> for &mut Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while let Some(element) = elements.next_element::<&RawValue>()? {
            object(element.get().as_bytes(), self.fields, self.out);
            self.lines += 1;
            if self.out.len() > self.most {
                self.is_too_long = true;
                return Err(A::Error::custom("too long"));
            }
        }
        Ok(())
    }
}

/// One object in a line of its own.
fn object(text: &[u8], fields: &[u8], out: &mut Vec<u8>) {
    let Some(rest) = text.strip_prefix(b"{").filter(|_| !fields.is_empty()) else {
        return line(text, out);
    };
    out.push(b'{');
    // The last comma is wanted only if another field follows.
    let is_empty = rest.trim_ascii_start().first() == Some(&b'}');
    out.extend_from_slice(if is_empty { &fields[..fields.len() - 1] } else { fields });
    line(rest, out);
}

/// `text` without line ends inside, which JSON allows between its parts only.
fn line(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(text);
    out[start..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(payload: &[u8], most: usize) -> (Result<u64, TooLong>, String) {
        let mut out = b"before\n".to_vec();
        let lines = write(payload, b"\"a\":1,", most, &mut out);
        (lines, String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn an_array_is_a_line_for_each_element_and_a_broken_one_is_a_line() {
        let (lines, text) = written(b"[{}, 7,\n{\"b\": 2}]", usize::MAX);
        assert_eq!((lines, &*text), (Ok(3), "before\n{\"a\":1}\n7\n{\"a\":1,\"b\": 2}\n"));
        assert_eq!(written(b" [] ", usize::MAX), (Ok(0), "before\n".to_owned()));
        for broken in ["[{},", "[{}]]", "[{} {}]"] {
            assert_eq!(written(broken.as_bytes(), usize::MAX), (Ok(1), format!("before\n{broken}\n")));
        }
    }

    #[test]
    fn it_ends_behind_the_line_that_is_too_much() {
        let many = format!("[{}]", ["{}"; 1000].join(","));
        let (lines, text) = written(many.as_bytes(), 100);
        assert_eq!(lines, Err(TooLong));
        assert!(text.len() <= 108, "{}", text.len());
        assert_eq!(written(b"{}", 10).0, Err(TooLong));
    }
}
