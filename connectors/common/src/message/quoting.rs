//! Fields as they are written in a line of each format.

use super::options::Line;

/// Appends `text` as a field of delimited text.
pub(super) fn csv(text: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    let is_special = |byte: &u8| matches!(*byte, b'"' | b'\n' | b'\r') || *byte == delimiter;
    let has_blanks =
        text.first().is_some_and(u8::is_ascii_whitespace) || text.last().is_some_and(u8::is_ascii_whitespace);
    if !has_blanks && !text.iter().any(is_special) {
        return out.extend_from_slice(text);
    }
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\"\""),
            byte => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Appends `text` as a string of JSON.
pub(super) fn json(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            byte => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Appends `text` as the key or the value of a tag of line protocol, in which line ends are not possible.
pub(super) fn tag(text: &str, out: &mut Vec<u8>) {
    // A backslash at the end would escape what follows.
    let text = text.trim_end_matches('\\');
    for byte in text.bytes() {
        match byte {
            b',' | b'=' | b' ' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' | b'\r' | b'\t' => out.push(b'_'),
            byte => out.push(byte),
        }
    }
}

/// What precedes the value of the field `name` in a line.
pub(super) fn key(line: Line, name: &str) -> Vec<u8> {
    let mut text = Vec::new();
    match line {
        Line::Csv => {}
        Line::Json => {
            json(name, &mut text);
            text.push(b':');
        }
        Line::Influx => {
            text.push(b',');
            tag(name, &mut text);
            text.push(b'=');
        }
    }
    text
}
