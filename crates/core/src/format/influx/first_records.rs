//! Recognises line protocol by its first records, and describes them, to guess the content of a file.

use super::line::parse;
use super::reference::{is_no_record, line_at};
use crate::format::Refused;
use crate::format::refusal::Refusal;

/// A summary of the first records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstRecords {
    /// The number of records.
    pub records: usize,
    /// The names of the fields that are always numbers.
    pub numbers: Vec<String>,
    /// The names of the tags and of all other fields.
    pub texts: Vec<String>,
    /// The largest timestamp, in the file's unit; `None` if no record has one.
    pub latest: Option<u64>,
    /// The number of records without a timestamp.
    pub timeless: usize,
    /// The lines that are not line protocol.
    pub refused: Refused,
}

/// The first records of `text`, whose last line may be incomplete; `None` unless most lines are line protocol. Other texts rarely have even
/// one valid line.
pub fn first_records(text: &[u8], is_whole: bool) -> Option<FirstRecords> {
    let (mut sample, mut at, mut number) = (FirstRecords::default(), 0, 0);
    while at < text.len() {
        let (end, next) = line_at(text, at);
        let line = &text[at..end];
        let is_cut = next == text.len() && !is_whole && !text.ends_with(b"\n");
        (at, number) = (next, number + 1);
        if is_cut || is_no_record(line) {
            continue;
        }
        if let Err(refusal) = sample.add(line) {
            sample.refused.add(number, refusal.reason);
        }
    }
    sample.numbers.retain(|name| !sample.texts.contains(name));
    (sample.records > sample.refused.count).then_some(sample)
}

impl FirstRecords {
    fn add(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let parsed = parse(line)?;
        let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<i64>().ok();
        match parsed.time.map(|time| number(&line[time])) {
            Some(None) => return Err(Refusal::record("the timestamp has more than 64 bits")),
            Some(Some(time)) => self.latest = self.latest.max(Some(time.unsigned_abs())),
            None => self.timeless += 1,
        }
        let name = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        let add = |names: &mut Vec<String>, name: String| {
            if !names.contains(&name) {
                names.push(name);
            }
        };
        parsed.tags.iter().for_each(|(key, _)| add(&mut self.texts, name(&key.content)));
        for (key, value) in &parsed.fields {
            let names = if value.number.is_some() { &mut self.numbers } else { &mut self.texts };
            add(names, name(&key.content));
        }
        self.records += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_line_protocol_are_counted_where_most_are() {
        let first =
            |text: &str| first_records(text.as_bytes(), true).map(|found| (found.records, found.refused));
        let refused = |count, line, why: &str| Refused { count, first: Some((line, why.to_owned())) };
        assert_eq!(first("a v=1 1\n# c\n\nb v=2 2\n"), Some((2, Refused::default())));
        let (records, odd) =
            first("a v=1 1\na v=NaN 2\n2026-01-01 some text\na v=2 3\na v=3\n").expect("records");
        assert_eq!((records, odd.count, odd.first.map(|(line, _)| line)), (3, 2, Some(2)));
        assert_eq!(
            first("a v=1 99999999999999999999\na v=2 2\na v=3 3\n"),
            Some((2, refused(1, 1, "the timestamp has more than 64 bits")))
        );
        // Not a majority: another kind of text.
        assert_eq!(first("a v=1 1\nv,w\n"), None);
        assert_eq!(first("time,v\n1,2\n"), None);
    }
}
