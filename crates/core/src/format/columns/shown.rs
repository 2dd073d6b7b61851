//! Names and fields in messages.

/// Names for a message: on one line, shortened.
pub(in crate::format) fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    let shown = names.iter().take(MOST).map(|name| {
        let short: String = name.chars().take(40).collect();
        let more = if short.len() < name.len() { "…" } else { "" };
        format!("`{}{more}`", short.escape_debug())
    });
    let list = shown.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST) {
        0 => list,
        more => format!("{list} and {more} more"),
    }
}

/// A field for a message: quoted, shortened, undecodable bytes replaced.
pub fn shown(field: &[u8]) -> String {
    const LONGEST: usize = 40;
    let text = String::from_utf8_lossy(&field[..field.len().min(4 * LONGEST)]);
    let short: String = text.chars().take(LONGEST).collect();
    if short.len() < text.len() || field.len() > text.len() {
        format!("{short:?}…")
    } else {
        format!("{short:?}")
    }
}
