//! Guesses fixed-width fields: those separated by blanks at the same positions in all lines.

use super::delimiter::{FieldKind, look};

/// Fewer lines may have blanks at the same position by chance.
const LEAST: usize = 5;

/// The characters of a line.
type Line = Vec<char>;

/// The widths of all fields of a text except the last, which extends to the end of the line; `None` if no blanks are aligned.
pub(super) fn find(bytes: &[u8], comment: Option<u8>, is_whole: bool) -> Option<Vec<usize>> {
    let lines = lines(bytes, comment, is_whole);
    let first = lines.iter().position(is_data)?;
    let data: Vec<&Line> = lines[first..].iter().filter(|line| is_data(line)).collect();
    if data.len() < LEAST || data.iter().any(|line| line.contains(&'\t')) {
        return None;
    }
    let fields = fields(&data);
    let header = lines[..first].last();
    // If blanks do not separate the names, the delimiter is another one.
    if header.is_some_and(|line| line.len() > data[0].len() / 2 && !line.contains(&' ')) {
        return None;
    }
    let mut from = 0;
    let widths = fields.windows(2).map(|pair| {
        let end = boundary(&data, (pair[0].1, pair[1]), header);
        let width = end - from;
        from = end;
        width
    });
    let widths: Vec<usize> = widths.collect();
    (!widths.is_empty()).then_some(widths)
}

/// The length of all lines, if they are equally long without blanks or delimiters that would separate fields.
pub(super) fn solid(bytes: &[u8], comment: Option<u8>, is_whole: bool) -> Option<usize> {
    let lines = lines(bytes, comment, is_whole);
    let length = lines.last()?.len();
    let data: Vec<&Line> = lines.iter().filter(|line| line.len() == length).collect();
    let has_digits =
        |line: &&&Line| line.iter().filter(|letter| letter.is_ascii_digit()).count() * 2 > length;
    let is_solid = data.len() >= LEAST && data.len() + 1 >= lines.len() && length >= 16;
    (is_solid && data.iter().filter(has_digits).count() == data.len()).then_some(length)
}

fn lines(bytes: &[u8], comment: Option<u8>, is_whole: bool) -> Vec<Line> {
    let text = String::from_utf8_lossy(bytes);
    let mark = comment.map(char::from);
    let is_line = |line: &&str| !line.trim().is_empty() && (mark.is_none() || line.chars().next() != mark);
    let mut lines: Vec<Line> =
        text.lines().filter(is_line).map(|line| line.trim_end().chars().collect()).collect();
    if !is_whole {
        lines.pop();
    }
    lines
}

/// Whether a line has values: numbers and times, at least as many as words.
fn is_data(line: &Line) -> bool {
    let text: String = line.iter().collect();
    let looks: Vec<FieldKind> = text.split_whitespace().map(look).collect();
    let count = |wanted: FieldKind| looks.iter().filter(|look| **look == wanted).count();
    let values = count(FieldKind::Number) + count(FieldKind::Time);
    values > 0 && values >= count(FieldKind::Text)
}

/// The character ranges of fields: where some line is not blank.
fn fields(data: &[&Line]) -> Vec<(usize, usize)> {
    let width = data.iter().map(|line| line.len()).max().unwrap_or(0);
    let is_blank = |at: usize| data.iter().all(|line| is_blank(line, at));
    let mut fields: Vec<(usize, usize)> = Vec::new();
    for at in (0..width).filter(|&at| !is_blank(at)) {
        match fields.last_mut() {
            Some((_, end)) if *end == at => *end += 1,
            _ => fields.push((at, at + 1)),
        }
    }
    fields
}

fn is_blank(line: &[char], at: usize) -> bool {
    line.get(at).is_none_or(|letter| *letter == ' ')
}

/// Where the field ends behind which `end` blanks begin before the next one, which stands at `next`. Of numbers, which may be longer further down,
/// those are given the blanks that grow to that side; a name above the records is not cut.
fn boundary(data: &[&Line], (end, next): (usize, (usize, usize)), header: Option<&Line>) -> usize {
    let has_value = |line: &&&Line| (next.0..next.1).any(|at| !is_blank(line, at));
    let starts_even = data.iter().filter(has_value).all(|line| !is_blank(line, next.0));
    let wanted = if starts_even { next.0 } else { end };
    let cuts =
        |at: usize| header.is_some_and(|line| at > 0 && !is_blank(line, at - 1) && !is_blank(line, at));
    let mut places: Vec<usize> = (end..=next.0).collect();
    places.sort_by_key(|at| at.abs_diff(wanted));
    places.into_iter().find(|&at| !cuts(at)).unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Option<Vec<usize>> {
        find(text.as_bytes(), None, true)
    }

    #[test]
    fn blanks_at_the_same_places_show_fields() {
        let rows = [
            ["time", "place", "temp", "flow"],
            ["10:00", "hall 1", "1.5", "3"],
            ["10:01", "hall 2", "", "10.5"],
            ["10:02", "", "2.5", "4"],
            ["10:03", "big hall", "-12.25", "5"],
            ["10:04", "hall 2", "3.5", ""],
        ];
        let line = |[time, place, temp, flow]: [&str; 4]| format!("{time:<6}{place:<10}{temp:>6}{flow:>6}\n");
        assert_eq!(found(&rows.map(line).concat()), Some(vec![6, 8, 8]));
    }

    #[test]
    fn few_lines_tabs_and_lines_that_grow_as_they_like_show_none() {
        assert_eq!(found("a b\n1 2\n3 4\n"), None);
        assert_eq!(found(&"1\t2 3\n".repeat(9)), None);
        let free: String =
            (1..9).map(|row| format!("{} {} {}\n", "1".repeat(row), "2".repeat(10 - row), row)).collect();
        assert_eq!(found(&free), Some(vec![12]), "{free}");
    }

    #[test]
    fn lines_of_one_length_without_blanks_are_told() {
        let solid = |text: &str| super::solid(text.as_bytes(), None, true);
        assert_eq!(solid(&"0029029070999991901010106004\n".repeat(6)), Some(28));
        assert_eq!(solid(&"1.5\n".repeat(6)), None);
    }
}
