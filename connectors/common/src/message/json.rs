//! JSON with further fields.

use serde_json::value::RawValue;

/// Writes the object or the array of objects in `payload` to `out`, one object per line, each with the fields that `fields` appends (each `"name":value,`). What
/// is neither is written as it is: the decoder rejects it. Returns the number of lines.
pub(super) fn write(payload: &[u8], fields: &[u8], out: &mut Vec<u8>) -> u64 {
    let payload = payload.trim_ascii();
    if payload.first() != Some(&b'[') {
        object(payload, fields, out);
        return 1;
    }
    // Elements may be anything: each stands in its own line, to be rejected alone.
    match serde_json::from_slice::<Vec<&RawValue>>(payload) {
        Ok(elements) => {
            for element in &elements {
                object(element.get().as_bytes(), fields, out);
            }
            elements.len() as u64
        }
        Err(_) => {
            line(payload, out);
            1
        }
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
